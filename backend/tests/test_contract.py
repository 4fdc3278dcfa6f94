"""The running app against the contract that front ends are written from."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from app.config import BACKEND
from tests.test_tasks import NEVER, make

CONTRACT: dict[str, Any] = yaml.safe_load(
    Path(BACKEND.parent / "specs/003-fastapi-tasks-api/contracts/api-schema.yaml").read_text()
)
METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = {
    operation["operationId"]: (path, method)
    for path, item in CONTRACT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside an OpenAPI document."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def body_schema(document: dict[str, Any], holder: dict[str, Any]) -> dict[str, Any] | None:
    content = resolve(document, holder).get("content", {})
    return resolve(document, content["application/json"]["schema"]) if content else None


def name_of_schema(document: dict[str, Any], holder: dict[str, Any]) -> str | None:
    content = resolve(document, holder).get("content", {})
    return content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1] if content else None


@pytest.fixture(scope="module")
def served(app) -> dict[str, Any]:
    return app.openapi()


def test_the_contract_has_its_seven_operations():
    assert len(OPERATIONS) == 7


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_an_operation_keeps_its_name_tag_and_summary(served, operation_id):
    path, method = OPERATIONS[operation_id]
    promised, found = CONTRACT["paths"][path][method], served["paths"][path][method]
    for key in ("operationId", "tags", "summary"):
        assert found[key] == promised[key]


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_an_operation_keeps_its_answers(served, operation_id):
    path, method = OPERATIONS[operation_id]
    promised, found = CONTRACT["paths"][path][method], served["paths"][path][method]
    for status, answer in promised["responses"].items():
        assert name_of_schema(served, found["responses"][status]) == name_of_schema(CONTRACT, answer)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_an_operation_keeps_its_body_and_parameters(served, operation_id):
    path, method = OPERATIONS[operation_id]
    promised, found = CONTRACT["paths"][path][method], served["paths"][path][method]
    assert ("requestBody" in found) == ("requestBody" in promised)
    if "requestBody" in promised:
        assert found["requestBody"]["required"] is True
        assert name_of_schema(served, found["requestBody"]) == name_of_schema(
            CONTRACT, promised["requestBody"]
        )
    for parameter in CONTRACT["paths"][path].get("parameters", []):
        (same,) = [
            p for p in found["parameters"] if (p["name"], p["in"]) == (parameter["name"], parameter["in"])
        ]
        assert same["required"] == parameter["required"]
        assert parameter["schema"].items() <= same["schema"].items()


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_an_operation_is_guarded_as_promised(served, operation_id):
    path, method = OPERATIONS[operation_id]
    promised = CONTRACT["paths"][path][method].get("security", CONTRACT["security"])
    assert served["paths"][path][method].get("security", []) == promised


def test_the_security_scheme_is_the_contracts(served):
    promised = CONTRACT["components"]["securitySchemes"]["BearerAuth"]
    assert promised.items() <= served["components"]["securitySchemes"]["BearerAuth"].items()


@pytest.mark.parametrize("name", CONTRACT["components"]["schemas"])
def test_a_schema_keeps_its_fields_and_types(served, name):
    promised, found = CONTRACT["components"]["schemas"][name], served["components"]["schemas"][name]
    for field, rule in promised["properties"].items():
        assert types(found["properties"][field]) == types(rule), field
        for limit in ("minLength", "maxLength", "format", "enum"):
            if limit in rule:
                assert limit_of(found["properties"][field], limit) == rule[limit], (field, limit)


@pytest.mark.parametrize("name", CONTRACT["components"]["schemas"])
def test_a_schema_asks_for_what_the_contract_asks_for(served, name):
    promised, found = CONTRACT["components"]["schemas"][name], served["components"]["schemas"][name]
    required = set(found.get("required", []))
    if name in {"TaskCreate", "TaskUpdate", "TaskPatch"}:
        assert required == set(promised.get("required", []))  # a client may never have to send more
    else:
        assert required >= set(promised["required"])  # an answer may never hold less


def types(rule: dict[str, Any]) -> set[str]:
    if "anyOf" in rule:
        return {option["type"] for option in rule["anyOf"]}
    return {rule["type"]} if isinstance(rule["type"], str) else set(rule["type"])


def limit_of(rule: dict[str, Any], limit: str) -> Any:
    return next((option[limit] for option in [rule, *rule.get("anyOf", [])] if limit in option), None)


async def test_every_body_that_is_sent_fits_the_contract_and_our_own_document(alice, stranger, served):
    """The bytes are written from the row, past `response_model`; here they are held against both."""
    task = await make(alice, completed=True)
    one, nowhere = f"/tasks/{task['id']}", f"/tasks/{NEVER}"
    full = {"text": "x", "completed": False}
    sent = [
        (await alice.get("/tasks"), "/tasks", "get"),
        (await stranger.get("/tasks"), "/tasks", "get"),
        (await alice.post("/tasks", json={"text": "x"}), "/tasks", "post"),
        (await alice.post("/tasks", json={}), "/tasks", "post"),
        (await stranger.post("/tasks", json={"text": "x"}), "/tasks", "post"),
        (await stranger.get("/health"), "/health", "get"),
    ]
    for client in (alice, stranger):
        for path in (one, nowhere, "/tasks/no-uuid"):
            sent += [
                (await client.get(path), "/tasks/{task_id}", "get"),
                (await client.put(path, json=full), "/tasks/{task_id}", "put"),
                (await client.patch(path, json={"order": 1}), "/tasks/{task_id}", "patch"),
            ]
    sent += [
        (await alice.delete(path), "/tasks/{task_id}", "delete") for path in (one, nowhere, "/tasks/no-uuid")
    ]
    statuses = set()
    for answer, path, method in sent:
        statuses.add(answer.status_code)
        for document in (CONTRACT, served):
            promised = document["paths"][path][method]["responses"][str(answer.status_code)]
            schema = body_schema(document, promised)
            if schema is None:
                assert answer.content == b""
            else:
                assert answer.headers["Content-Type"] == "application/json"
                whole = schema | {"components": document["components"]}
                jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(answer.json())
    assert statuses == {200, 201, 204, 401, 404, 422}


async def test_an_answer_holds_exactly_the_documented_fields(alice, served):
    task = await make(alice)
    fields = set(served["components"]["schemas"]["TaskResponse"]["properties"])
    assert set(task) == fields
    assert set((await alice.get("/tasks")).json()) == {"tasks", "count"}
