"""/docs as it is sent, without a browser: files, links, policy, and the document behind the page."""

import base64
import hashlib
import re
from typing import Any

import pytest
import schemathesis

FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
SOME_ID = "01890a5d-ac96-774b-bcce-b302099a8057"  # how the document shows what an id looks like


@pytest.fixture
async def document(stranger) -> dict[str, Any]:
    return (await stranger.get("/openapi.json")).json()


@pytest.fixture
async def html(stranger) -> str:
    return (await stranger.get("/docs")).text


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("", "text/html; charset=utf-8"), *((f"/{name}", media_type) for name, media_type in FILES.items())],
)
async def test_the_page_and_its_files_are_sent_with_their_types(stranger, path, media_type):
    answer = await stranger.get(f"/docs{path}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.content) > 500


async def test_the_page_links_to_nothing_but_its_own_files_and_below_where_it_is(html):
    links = re.findall(r"""(?:href|src)="([^"]*)"|url: '([^']*)'""", html)
    assert {first or second for first, second in links} == {
        "openapi.json",
        *(f"docs/{name}" for name in FILES),
    }
    assert "//" not in re.sub(r"\s//\s.*", "", html)


async def test_the_policy_allows_the_inline_script_by_its_hash_and_no_other(stranger):
    page = await stranger.get("/docs")
    directives = page.headers["Content-Security-Policy"].split("; ")
    policy = {name: sources for name, *sources in map(str.split, directives)}
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["default-src"] == ["'self'"]
    assert policy["script-src"] == ["'self'", f"'sha256-{digest}'"]
    assert policy["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "__init__.py",
        "",
        "%2e%2e",
        "%2e%2e%2fmain.py",
        "..%2F__init__.py",
        "..%5c__init__.py",
        "%2fetc%2fpasswd",
        "swagger-ui.css%00",
        "swagger-ui.css%2f",
        "SWAGGER-UI.CSS",
        "a/b",
    ],
)
async def test_any_other_file_is_not_found(stranger, name):
    answer = await stranger.get(f"/docs/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json()["error"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/docs", "GET, HEAD"), ("/docs/swagger-ui.css", "GET, HEAD"), ("/openapi.json", "GET, HEAD")],
)
async def test_nothing_can_be_posted(stranger, path, allowed):
    answer = await stranger.post(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.json()["error"] == "METHOD_NOT_ALLOWED"


async def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


async def test_the_document_names_bearer_tokens_where_they_are_needed(document):
    scheme = document["components"]["securitySchemes"]["BearerAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) is path.startswith("/tasks"), path


async def test_tasks_stand_first_and_health_last(document):
    tags = [
        operation["tags"] for operations in document["paths"].values() for operation in operations.values()
    ]
    assert tags.count(["Tasks"]) >= 6
    assert tags.count(["Health"]) == 3
    shown = [tag["name"] for tag in document["tags"]]
    assert (shown[0], shown[-1]) == ("Tasks", "Health")
    assert {tag for (tag,) in tags} <= set(shown)


async def test_every_example_body_is_accepted_as_it_stands(alice, document):
    """What /docs fills in; without an example Swagger UI makes up a text that fits the pattern.

    Where it names another task it is accepted with the id of one that is there.
    """
    task, other = [(await alice.post("/tasks", json={"text": "Buy milk"})).json() for _ in range(2)]
    bodies = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            (example,) = document["components"]["schemas"][reference.rpartition("/")[2]]["examples"]
            example = {name: other["id"] if value == SOME_ID else value for name, value in example.items()}
            answer = await alice.request(method, path.format(task_id=task["id"]), json=example)
            assert answer.is_success, answer.text
            shown = answer.json()
            assert {name: shown[name] for name in shown.keys() & example} == {
                name: example[name] for name in shown.keys() & example
            }
            bodies += 1
    assert bodies >= 5


async def test_every_documented_failure_shows_its_own_code(document):
    """As "Unauthorized (UNAUTHORIZED)", and below it an answer with that code."""
    shown = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if "Health" in operation["tags"] or status < "400":
                    continue
                example = response["content"]["application/json"]["example"]
                codes = response["description"].partition("(")[2].rstrip(")").split(" or ")
                assert example["error"] == codes[0]
                assert example["message"].endswith(".")
                assert bool(example["details"]) is (status == "422")
                shown.update(codes)
    assert shown == {
        "BAD_REQUEST",
        "UNAUTHORIZED",
        "NOT_FOUND",
        "REQUEST_TIMEOUT",
        "CONFLICT",
        "GONE",
        "PRECONDITION_FAILED",
        "PRECONDITION_REQUIRED",
        "PAYLOAD_TOO_LARGE",
        "UNSUPPORTED_MEDIA_TYPE",
        "VALIDATION_ERROR",
        "RATE_LIMITED",
        "INTERNAL_ERROR",
        "SERVICE_UNAVAILABLE",
        "OVERLOADED",
    }


@pytest.mark.parametrize("wanted", ["bytes=abc", "bytes=99999999-", "items=0-1"])
async def test_an_odd_range_is_ignored(stranger, wanted):
    """Starlette's own answer to it would be plain text; RFC 9110 section 14.2 lets a server ignore ranges."""
    answer = await stranger.get("/docs/swagger-ui.css", headers={"Range": wanted})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
