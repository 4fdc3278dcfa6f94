"""The log: one line per request, nothing private in it."""

import asyncio
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest

from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from app.observability import ConsoleFormatter, configure_logging, user_hash, where
from tests.conftest import SECRET, ClientFor
from tests.test_tasks import NEVER, make

FIELDS = {"method", "route", "status", "duration_ms", "request_id", "user", "reason"}


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """configure_logging replaces the root's handlers, pytest's among them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line]


@pytest.fixture
def log_as_json(settings: Settings, logging_restored: None) -> Callable[[], None]:
    """Called by the test itself: pytest gives it another standard output than its fixtures had."""
    return lambda: configure_logging(settings.model_copy(update={"log_format": "json"}))


async def test_each_request_is_one_line_of_json(log_as_json, alice, capsys):
    log_as_json()
    task = await make(alice)
    await alice.get(f"/tasks/{task['id']}?q=canary", headers={"X-Request-ID": "my-id"})
    first, second = map(json.loads, lines(capsys))
    assert set(first) >= FIELDS
    assert (first["method"], first["route"], first["status"]) == ("POST", "/tasks", 201)
    assert (second["route"], second["status"], second["request_id"]) == ("/tasks/{task_id}", 200, "my-id")
    assert first["level"] == "INFO"
    assert first["timestamp"]
    assert 0 < first["duration_ms"] < 10_000
    assert first["user"] == second["user"] == user_hash(task["user_id"])


def test_a_line_of_the_server_has_no_second_text_for_terminals(log_as_json, capsys):
    log_as_json()
    said = "Started server process [%d]"
    logging.getLogger("uvicorn.error").info(said, 7, extra={"color_message": "\x1b[36m%d\x1b[0m"})
    (line,) = map(json.loads, lines(capsys))
    assert line.keys() == {"level", "logger", "message", "timestamp"}
    assert line["message"] == "Started server process [7]"


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/nowhere/canary", "-", 404),
        ("DELETE", "/tasks", "/tasks", 405),
        ("GET", f"/tasks/{NEVER}", "/tasks/{task_id}", 404),
        ("GET", "/tasks/canary", "/tasks/{task_id}", 422),
        ("GET", "/health", "/health", 200),
    ],
)
async def test_the_line_names_the_route_and_not_the_path(
    log_as_json, alice, capsys, method, path, route, status
):
    log_as_json()
    await alice.request(method, path)
    (line,) = map(json.loads, lines(capsys))
    assert (line["route"], line["status"]) == (route, status)


async def test_a_stranger_has_no_user_in_the_line(log_as_json, stranger, capsys):
    log_as_json()
    await stranger.get("/tasks")
    assert json.loads(lines(capsys)[0])["user"] is None


async def test_a_refusal_says_why_to_the_operator_only(log_as_json, alice, stranger, capsys):
    log_as_json()
    bad = {"Authorization": f"Bearer {sign('x', 'another secret, of 32 bytes or so', seconds=60)}"}
    answer = await stranger.get("/tasks", headers=bad)
    await stranger.get("/tasks")
    await alice.get("/tasks")
    refused, anonymous, good = map(json.loads, lines(capsys))
    assert refused["reason"] == "its signature does not match its key"
    assert "signature" not in answer.text + str(answer.headers)
    assert (anonymous["reason"], good["reason"]) == (None, None)


async def test_people_read_the_reason_at_the_end_of_the_line(settings, logging_restored, stranger, capsys):
    configure_logging(settings)
    await stranger.get("/tasks", headers={"Authorization": "Bearer x", "X-Request-ID": "my-id"})
    (line,) = lines(capsys)
    assert line.endswith("[my-id] -: it is neither a JSON Web Token nor a signed session token")


async def test_nothing_private_is_ever_logged(log_as_json, client_for: ClientFor, capsys):
    log_as_json()
    user_id = f"canary-user-{uuid.uuid4()}"
    async with client_for(user_id) as client:
        task = await make(client, "canary text")
        await client.patch(f"/tasks/{task['id']}?canary=1", json={"text": "canary" * 200})
        await client.get(
            "/tasks",
            headers={"Authorization": "Bearer canary", "Cookie": "canary", "X-Request-ID": "a canary"},
        )
        await client.get("/canary")
        token = client.headers["Authorization"].split()[1]
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert "canary" not in out
    assert token not in out


async def test_people_get_a_short_line(settings, logging_restored, alice, capsys):
    configure_logging(settings)
    await alice.get("/tasks", headers={"X-Request-ID": "my-id"})
    (line,) = lines(capsys)
    assert " ms [my-id] " in line
    assert " INFO    GET /tasks 200 " in line


def test_other_lines_keep_their_text_and_traceback():
    try:
        int("bad")
    except ValueError:
        record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "went %s", ("wrong",), sys.exc_info())
    text = ConsoleFormatter().format(record)
    assert "WARNING went wrong" in text.splitlines()[0]
    assert text.endswith("ValueError: invalid literal for int() with base 10: 'bad'")


@pytest.mark.parametrize(("level", "count"), [("info", 1), ("warning", 0)])
async def test_the_level_is_a_setting(settings, logging_restored, alice, capsys, level, count):
    configure_logging(settings.model_copy(update={"log_level": level}))
    await alice.get("/")
    assert len(lines(capsys)) == count


def test_production_logs_json():
    production = Settings(
        environment="production", database_url="postgresql://h/d", better_auth_secret=SECRET
    )
    assert production.json_logs
    assert not Settings().json_logs
    assert not production.model_copy(update={"log_format": "console"}).json_logs


def test_a_user_has_one_pseudonym_and_no_two_share_it():
    assert user_hash("alice") == user_hash("alice")
    assert "alice" not in user_hash("alice")
    alike = {user_hash(f"{'x' * 250}{number}") for number in range(100)}
    assert len(alike) == 100


async def test_the_duration_is_in_milliseconds(settings, logging_restored, client_for, capsys):
    app = create_app(settings)

    @app.get("/slow")
    async def be_slow() -> None:
        await asyncio.sleep(0.05)

    configure_logging(settings.model_copy(update={"log_format": "json"}))
    async with client_for(None, app) as client:
        await client.get("/slow")
    assert 50 <= json.loads(lines(capsys)[0])["duration_ms"] < 5000


def test_where_tells_places_and_not_texts():
    with pytest.raises(ValueError, match="canary") as raised:
        int("canary")
    assert where(raised.value).startswith("test_observability.py:")
    assert "canary" not in where(raised.value)
