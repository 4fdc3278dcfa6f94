"""One shape for every failure, on every path and method."""

import inspect
import json
import logging

import httpx2 as httpx
import pytest

import app.errors
from app.api.error_handlers import error_response
from app.config import Settings
from app.errors import AppError
from app.main import create_app
from tests.conftest import SECRET, ClientFor, MakeDatabase
from tests.test_tasks import NEVER

JSON = {"Content-Type": "application/json"}


def assert_error(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    body = answer.json()
    assert body["error"] == code
    assert list(body) == ["error", "message", "details"]
    assert body["message"].endswith(".")
    assert answer.headers["X-Request-ID"]


CODES = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "CONFLICT": 409,
    "GONE": 410,
    "PRECONDITION_FAILED": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "VALIDATION_ERROR": 422,
    "PRECONDITION_REQUIRED": 428,
    "RATE_LIMITED": 429,
    "HEADERS_TOO_LARGE": 431,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "OVERLOADED": 503,
}


def test_the_family_has_these_codes_and_no_others():
    family = [cls for _, cls in inspect.getmembers(app.errors, inspect.isclass) if issubclass(cls, AppError)]
    assert {cls.code: cls.status for cls in family if cls is not AppError} == CODES


def test_an_error_is_rendered_with_its_details_and_headers():
    error = app.errors.ValidationFailed("No.", details=["text - is required"], headers={"X-Hint": "1"})
    answer = error_response(error)
    assert json.loads(bytes(answer.body)) == {
        "error": "VALIDATION_ERROR",
        "message": "No.",
        "details": ["text - is required"],
    }
    assert (answer.status_code, answer.headers["X-Hint"]) == (422, "1")


@pytest.mark.parametrize("path", ["/nowhere", "/tasks/a/b", "/health/nothing", "/%00", "/tasks%2F"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "TRACE", "FANCY"])
async def test_an_unknown_path_is_not_found(alice, method, path):
    answer = await alice.request(method, path)
    assert_error(answer, 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/tasks", "GET, HEAD, POST"),
        (f"/tasks/{NEVER}", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/tasks/no-uuid", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/health", "GET, HEAD"),
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "FANCY"])
async def test_a_method_that_is_not_taken_names_all_that_are(stranger, method, path, allowed):
    answer = await stranger.request(method, path)
    assert_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == allowed


async def test_a_body_that_says_it_is_too_large_is_refused_unread(alice):
    async def unread():
        yield b"{"
        raise AssertionError("the body was read on")

    headers = JSON | {"Content-Length": "65537"}
    answer = await alice.post("/tasks", content=unread(), headers=headers)
    assert_error(answer, 413, "PAYLOAD_TOO_LARGE")
    assert "65536 bytes" in answer.json()["message"]


async def test_a_body_that_grows_too_large_is_refused_as_soon_as_it_does(alice):
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(1000):
            sent += 8192
            yield b" " * 8192

    answer = await alice.post("/tasks", content=chunks(), headers=JSON)
    assert_error(answer, 413, "PAYLOAD_TOO_LARGE")
    assert sent <= 65_536 + 2 * 8192


async def test_a_body_of_the_greatest_size_is_read(alice):
    body = b'{"text": "x"}'
    answer = await alice.post("/tasks", content=body + b" " * (65_536 - len(body)), headers=JSON)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "Deflate"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/tasks"), ("PUT", f"/tasks/{NEVER}"), ("PATCH", f"/tasks/{NEVER}")]
)
async def test_a_body_that_is_not_json_is_an_unsupported_media_type(alice, method, path, headers):
    answer = await alice.request(method, path, content=b'{"text": "x", "completed": true}', headers=headers)
    assert_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"]
)
async def test_json_may_have_parameters(alice, media_type):
    answer = await alice.post("/tasks", content=b'{"text": "x"}', headers={"Content-Type": media_type})
    assert answer.status_code == 201


async def test_a_body_where_none_is_wanted_is_ignored(alice):
    answer = await alice.request("GET", "/tasks", content=b"{", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200


@pytest.fixture
def broken_app(settings: Settings):
    """The real service with one more route, which has a bug."""
    app = create_app(settings)

    @app.get("/bug")
    async def fall_over() -> None:
        raise RuntimeError("canary: what a user wrote")

    return app


async def test_a_bug_is_answered_like_everything_else_and_its_text_goes_nowhere(
    broken_app, client_for, caplog
):
    origin = {"Origin": "http://localhost:3000", "X-Request-ID": "my-id"}
    async with client_for(None, broken_app) as client:
        answer = await client.get("/bug", headers=origin)
    assert_error(answer, 500, "INTERNAL_ERROR")
    assert answer.headers["X-Request-ID"] == "my-id"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "canary" not in answer.text + caplog.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "RuntimeError" in record.getMessage()
    assert "test_errors.py" in record.getMessage()


@pytest.fixture
def app_without_database():
    return create_app(
        Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", better_auth_secret=SECRET)
    )


async def test_a_schema_that_is_not_migrated_is_503_and_the_log_says_what_to_do(
    make_database: MakeDatabase, client_for: ClientFor, caplog
):
    app = create_app(Settings(database_url=await make_database(empty=True), better_auth_secret=SECRET))
    async with client_for("alice", app) as client:
        answer = await client.get("/tasks")
    await app.state.database.close()
    assert_error(answer, 503, "SERVICE_UNAVAILABLE")
    assert "run: tasks-api migrate" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/tasks", None),
        ("POST", "/tasks", {"text": "x"}),
        ("GET", f"/tasks/{NEVER}", None),
        ("PUT", f"/tasks/{NEVER}", {"text": "x", "completed": True}),
        ("PATCH", f"/tasks/{NEVER}", {"text": "x"}),
        ("DELETE", f"/tasks/{NEVER}", None),
    ],
)
async def test_without_a_database_every_endpoint_says_when_to_come_back(
    app_without_database, client_for: ClientFor, caplog, method, path, body
):
    caplog.set_level(logging.INFO, "app.requests")
    async with client_for("alice", app_without_database) as client:
        answer = await client.request(method, path, json=body)
    assert_error(answer, 503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "127.0.0.1" not in answer.text
    assert "ConnectionRefusedError" in caplog.text
    (line,) = (record for record in caplog.records if record.name == "app.requests")
    assert line.reason == "ConnectionRefusedError"  # beside the request's id
