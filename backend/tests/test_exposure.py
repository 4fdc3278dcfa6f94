"""What a stranger finds in production: no documentation, no counts, no version, no header that tells more."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from app import __version__
from app.config import Settings
from app.main import create_app
from app.serving import welcome
from tests.conftest import SECRET, ClientFor
from tests.servers import Commands, Service

HIDDEN = [
    "/docs",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/openapi.json",
    "/redoc",
    "/metrics",
]
NOT_SHOWN = __version__.partition(".")[0]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """`serve` as an operator starts it, with nothing set that need not be."""
    commands = Commands(tmp_path_factory.mktemp("checkout"))
    data_dir = tmp_path_factory.mktemp("production") / "data"
    settings = {
        "environment": "production", "database_url": database_url, "better_auth_secret": SECRET,
        "cors_origins": "https://app.example.com", "health_timeout": 10,
    }  # fmt: skip
    with commands.start("tasks-api", "serve", data_dir=data_dir, **settings) as service:
        yield service.started()


def said(service: Service, request: str) -> tuple[int, dict[str, str], bytes]:
    """Send what no client library would; the status, the headers and the body of the answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as line:
        line.sendall(request.replace("\n", "\r\n").encode())
        received = b""
        while chunk := line.recv(65_536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (one.split(": ", 1) for one in lines)}, body


@pytest.mark.parametrize("path", HIDDEN)
def test_in_production_neither_documentation_nor_counts_are_there(production, path):
    answer = httpx.get(production.url + path)
    assert (answer.status_code, answer.json()["message"]) == (404, "There is nothing at this path.")
    never = httpx.get(f"{production.url}/never")
    assert answer.json() == never.json()
    assert answer.headers.keys() == never.headers.keys()


def test_in_production_nobody_is_told_the_version(production):
    health, root = httpx.get(f"{production.url}/health"), httpx.get(f"{production.url}/")
    assert health.json() == {"status": "healthy", "database": "connected", "version": NOT_SHOWN}
    assert root.json() == {"name": "Tasks API"}
    for answer in (health, root):
        assert __version__ not in answer.text + str(answer.headers)


def test_no_header_names_the_server_or_what_it_is_made_of(production):
    for path in ("/", "/health", "/tasks", "/never"):
        headers = httpx.get(production.url + path).headers
        assert not {"server", "x-powered-by", "via", "x-aspnet-version", "server-timing"} & set(headers)
        assert "uvicorn" not in str(headers).lower()


@pytest.mark.parametrize(("path", "status"), [("/tasks", 405), ("/health", 405), ("/", 405), ("/never", 404)])
def test_trace_gives_nothing_back(production, path, status):
    """RFC 9110 section 9.3.8 has the server repeat what it was sent, a cookie for instance."""
    request = f"TRACE {path} HTTP/1.1\nHost: x\nCookie: canary\nX-Mine: canary\nConnection: close\n\n"
    found, headers, body = said(production, request)
    assert found == status
    assert set(json.loads(body)) == {"error", "message", "details"}
    assert "canary" not in str(headers) + body.decode()
    assert "TRACE" not in headers.get("allow", "")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("CONNECT 127.0.0.1:22", 400),
        ("CONNECT evil.example:443", 400),
        ("GET http://evil.example/never", 404),
        ("GET http://127.0.0.1:22/", 200),  # what stands at our own / (RFC 9112 section 3.2.2)
    ],
)
def test_nobody_is_connected_to_anywhere(production, line, status):
    """Neither by CONNECT nor by a request for another host's address; both are for proxies."""
    found, headers, body = said(production, f"{line} HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert found == status
    assert (b"Tasks API" in body) is (status == 200)
    assert "evil" not in str(headers) + body.decode()


@pytest.mark.parametrize(
    "path", ["/.git/config", "/.env", "/backend/.env", "/docs/", "/app/main.py", "/%2e%2e/.env"]
)
def test_no_file_is_served(production, path):
    status, _, body = said(production, f"GET {path} HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert (status, json.loads(body)["error"]) == (404, "NOT_FOUND")


def test_an_upgrade_is_not_taken(production):
    """There are no WebSockets; the request is answered as if nobody had offered another protocol."""
    offer = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: YQ=="
    with socket.create_connection(("127.0.0.1", production.port), timeout=20) as line:
        line.sendall(f"GET /?canary HTTP/1.1\nHost: x\n{offer}\n\n".replace("\n", "\r\n").encode())
        assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert "canary" not in production.output


async def test_a_bug_shows_nothing_of_itself(client_for: ClientFor, database_url):
    """No traceback, no page: Starlette's debug mode has both."""
    app = create_app(Settings(environment="production", database_url=database_url, better_auth_secret=SECRET))
    assert not app.debug

    @app.get("/broken")
    async def break_down() -> None:
        raise RuntimeError("canary")

    async with client_for(None, app) as client:
        answer = await client.get("/broken")
    assert (answer.status_code, answer.json()["error"]) == (500, "INTERNAL_ERROR")
    assert not {"canary", "RuntimeError", "Traceback", "test_exposure"} & set(answer.text.split())


@pytest.mark.parametrize(
    ("given", "docs", "version"),
    [
        ({}, True, True),
        ({"docs": "off"}, False, True),
        ({"show_version": "off"}, True, False),
        ({"docs": "OFF", "show_version": "OFF"}, False, False),
        ({"environment": "production"}, False, False),
        ({"environment": "production", "docs": "on"}, True, False),
        ({"environment": "production", "show_version": "on"}, False, True),
    ],
)
async def test_each_is_there_when_the_settings_say_so(
    client_for: ClientFor, database_url, given, docs, version
):
    app = create_app(
        Settings(database_url=database_url, better_auth_secret=SECRET, health_timeout=10, **given)
    )
    async with client_for(None, app) as client:
        for path in HIDDEN[:4]:
            assert (await client.get(path)).status_code == (200 if docs else 404)
        nothing = (await client.get("/never")).json()["message"]
        root, health = (await client.get("/")).json(), (await client.get("/health")).json()
    assert ("/docs" in nothing) is docs
    assert root.get("docs") == ("/docs" if docs else None)
    assert root.get("version") == (__version__ if version else None)
    assert health["version"] == (__version__ if version else NOT_SHOWN)


def test_the_welcome_names_no_page_that_is_not_there(tmp_path: Path):
    settings = Settings(better_auth_secret=SECRET, data_dir=tmp_path)
    assert "/docs" in welcome(settings)
    assert "docs" not in welcome(settings.model_copy(update={"docs": "off"}))
