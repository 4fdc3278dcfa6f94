"""What stands around every request: ids, security headers, CORS."""

import re

import httpx2 as httpx
import pytest

from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, ClientFor

ORIGIN = "http://localhost:3000"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization, content-type",
}

#: Every kind of answer there is.
ANSWERS = [
    ("GET", "/", {}, 200),
    ("GET", "/health", {}, 200),
    ("GET", "/docs", {}, 200),
    ("GET", "/openapi.json", {}, 200),
    ("GET", "/tasks", {}, 200),
    ("POST", "/tasks", {"json": {"text": "x"}}, 201),
    ("GET", "/tasks", {"headers": {"Authorization": "Bearer a b"}}, 400),
    ("GET", "/tasks", {"headers": {"Authorization": ""}}, 401),
    ("GET", "/nowhere", {}, 404),
    ("DELETE", "/tasks", {}, 405),
    ("POST", "/tasks", {"content": b"x" * 70_000}, 413),
    ("POST", "/tasks", {"content": b"x"}, 415),
    ("POST", "/tasks", {"json": {}}, 422),
    ("OPTIONS", "/tasks", {"headers": PREFLIGHT}, 200),
    ("OPTIONS", "/tasks", {"headers": PREFLIGHT | {"Origin": "https://evil.example"}}, 400),
]


async def ask(
    client: httpx.AsyncClient, method: str, path: str, options: dict, **headers: str
) -> httpx.Response:
    return await client.request(method, path, **options | {"headers": options.get("headers", {}) | headers})


@pytest.mark.parametrize(("method", "path", "options", "status"), ANSWERS)
async def test_every_answer_has_an_id_and_the_security_headers(alice, method, path, options, status):
    answer = await ask(alice, method, path, options)
    assert answer.status_code == status
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(("method", "path", "options", "status"), ANSWERS)
async def test_a_well_formed_id_is_taken_over(alice, method, path, options, status):
    answer = await ask(alice, method, path, options, **{"X-Request-ID": "web-1.2_3"})
    assert (answer.status_code, answer.headers.get_list("X-Request-ID")) == (status, ["web-1.2_3"])


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "a\tb", "<b>", "ü", "a,b", 'a"b'])
async def test_any_other_id_is_replaced(alice, given):
    answer = await alice.get("/", headers={"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


async def test_two_ids_are_none(alice):
    answer = await alice.get("/", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.parametrize(("method", "path", "options", "status"), ANSWERS[:-2])
async def test_a_listed_origin_may_read_every_answer(alice, method, path, options, status):
    answer = await ask(alice, method, path, options, Origin=ORIGIN)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-ID", "WWW-Authenticate", "Retry-After", "Allow"} <= set(exposed)


@pytest.mark.parametrize(("method", "path", "options", "status"), ANSWERS[:-2])
async def test_any_other_origin_may_read_none(alice, method, path, options, status):
    for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
        answer = await ask(alice, method, path, options, Origin=origin)
        assert answer.status_code == status
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_preflight_needs_no_token(stranger):
    answer = await stranger.options("/tasks", headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-request-id"} <= set(allowed)


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "https://evil.example"},
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "x-unheard-of"},
    ],
)
async def test_a_refused_preflight_has_the_one_error_shape(stranger, change):
    answer = await stranger.options("/tasks", headers=PREFLIGHT | change)
    assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST")


async def test_origins_are_those_of_the_settings(client_for: ClientFor, database_url):
    app = create_app(
        Settings(
            database_url=database_url,
            better_auth_secret=SECRET,
            cors_origins="https://a.example, https://b.example",
        )
    )
    async with client_for(None, app) as client:
        for origin, allowed in [("https://a.example", True), ("https://b.example", True), (ORIGIN, False)]:
            answer = await client.get("/", headers={"Origin": origin})
            assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


async def test_with_a_star_any_origin_may_read_and_none_may_send_cookies(client_for: ClientFor, database_url):
    app = create_app(Settings(database_url=database_url, better_auth_secret=SECRET, cors_origins="*"))
    async with client_for(None, app) as client:
        answer = await client.get("/", headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_production_asks_browsers_to_stay_with_https(client_for: ClientFor, database_url):
    app = create_app(Settings(environment="production", database_url=database_url, better_auth_secret=SECRET))
    async with client_for(None, app) as client:
        assert (await client.get("/")).headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_caller_who_leaves_is_no_error(app, caplog):
    """The body never comes: Starlette's ClientDisconnect ends the request and nothing is answered."""
    from app.auth.tokens import sign  # noqa: PLC0415 - only this test speaks ASGI by hand

    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", f"Bearer {sign('dave', SECRET, seconds=60)}".encode())]
    scope = {
        "type": "http", "method": "POST", "path": "/tasks", "raw_path": b"/tasks", "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("api.test", 80),
        "client": ("127.0.0.1", 1), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    caplog.set_level("INFO", "app.requests")
    await app(scope, receive, send)
    assert sent == []
    assert [record.__dict__["status"] for record in caplog.records] == [499]
