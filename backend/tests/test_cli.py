"""The commands, as a person types them: what they print, start and refuse."""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app import __version__, embedded
from app.auth import TokenVerifier, Verifier
from app.config import Settings
from app.embedded import embedded_postgres
from app.migrations import migrate
from app.serving import welcome
from tests.conftest import FAST, SECRET, MakeDatabase, administer
from tests.servers import Commands, Service, free_port, processes_of, wait_for

COMMANDS = ["serve", "migrate", "purge", "token", "doctor"]
NOWHERE = "postgresql://u:hidden@127.0.0.1:1/nothing"
PRODUCTION = {
    "environment": "production",
    "database_url": NOWHERE,
    "better_auth_secret": SECRET,
    "cors_origins": "https://app.example.com",
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def local(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`tasks-api serve` in a new folder, with nothing set."""
    with commands.start("tasks-api", "serve", data_dir=tmp_path_factory.mktemp("local") / "data") as service:
        yield service.started()


def paste(curl: str) -> httpx.Response:
    """Let a shell read a curl command line, and send what curl would be told to send."""
    shell = subprocess.run(
        ["/bin/sh", "-c", "curl() { printf '%s\\0' \"$@\"; }\n" + curl],
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = iter(shell.stdout.split("\0")[:-1])
    url, headers, body = "", {}, None
    for argument in arguments:
        match argument:
            case "-H":
                name, _, value = next(arguments).partition(": ")
                headers[name] = value
            case "-d":
                body = next(arguments)
            case _:
                assert not url
                url = argument
    return httpx.request("POST" if body else "GET", url, headers=headers, content=body)


def curl_in(output: str) -> str:
    found = re.search(r"^ *curl (?:.*\\\n)*.*$", output, re.MULTILINE)
    assert found is not None, output
    return found[0]


def test_the_welcome_shows_where_things_are(local):
    shown = dict(re.findall(r"^  (docs|health|data) +(.+)$", local.output, re.MULTILINE))
    assert shown == {
        "docs": f"{local.url}/docs",
        "health": f"{local.url}/health",
        "data": str(local.data_dir),
    }
    assert "swagger-ui" in httpx.get(shown["docs"]).text
    assert httpx.get(shown["health"]).json()["status"] == "healthy"
    assert (local.data_dir / "postgres").is_dir()


def test_the_curl_of_the_welcome_works_as_pasted(local):
    made = paste(curl_in(local.output))
    assert (made.status_code, made.json()["text"], made.json()["user_id"]) == (201, "Buy milk", "local")


def test_a_printed_token_is_accepted(commands, local):
    printed = commands.run("tasks-api", "token", "--user", "älice@example.com", data_dir=local.data_dir)
    token = printed.stdout.strip()
    made = httpx.post(f"{local.url}/tasks", json={"text": "x"}, headers={"Authorization": f"Bearer {token}"})
    assert made.json()["user_id"] == "älice@example.com"
    assert printed.stderr == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_of_sessions_that_will_not_do_is_one_line_before_anything_starts(
    commands, data_dir, workers
):
    refused = {"better_auth_database_url": "mysql://u:hidden@h/d", "workers": workers}
    line = refusal(
        commands.run("tasks-api", "serve", data_dir=data_dir, better_auth_secret=SECRET, **refused)
    )
    assert line.startswith("tasks-api: BETTER_AUTH_DATABASE_URL: ")
    assert not data_dir.exists()


def test_a_taken_port_is_one_line_and_nothing_starts(commands, local, data_dir):
    line = refusal(
        commands.run("tasks-api", "serve", port=local.port, data_dir=data_dir, better_auth_secret=SECRET)
    )
    assert line.startswith("tasks-api: PORT: ")
    assert str(local.port) in line
    assert not data_dir.exists()


def test_the_second_start_finds_the_data_of_the_first(commands, data_dir):
    with commands.start("tasks-api", "serve", data_dir=data_dir) as service:
        made = paste(curl_in(service.started().output)).json()
        assert service.ends_after(signal.SIGTERM)
    with commands.start("tasks-api", "serve", data_dir=data_dir) as service:
        list_them = curl_in(service.started().output).replace("""-d '{"text": "Buy milk"}'""", "")
        assert paste(list_them).json() == {"tasks": [made], "count": 1}


async def test_with_a_database_that_one_is_migrated_and_used(commands, data_dir, make_database: MakeDatabase):
    database_url = await make_database(empty=True)
    with commands.start(
        "tasks-api", "serve", data_dir=data_dir, database_url=database_url, better_auth_secret=SECRET
    ) as service:
        output = service.started().output
        assert paste(curl_in(output)).status_code == 201
        assert (await administer(database_url, "SELECT text FROM tasks"))[0]["text"] == "Buy milk"
        assert re.search("^  data +your DATABASE_URL$", output, re.MULTILINE)
        assert processes_of(data_dir) == {service.process.pid}
        assert not data_dir.exists()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fd00::7", "[fd00::7]"),
        ("localhost", "localhost"),
    ],
)
def test_the_welcome_shows_an_address_that_can_be_called(host, shown):
    shown_text = welcome(Settings(host=host, port=8000, better_auth_secret=SECRET))
    assert f"  health  http://{shown}:8000/health\n" in shown_text
    assert f"curl 'http://{shown}:8000/tasks'" in shown_text


def refusal(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command refuses with."""
    assert finished.returncode == 1, finished.stderr
    assert finished.stdout == ""
    lines = finished.stderr.splitlines()
    assert len(lines) == 1, finished.stderr
    assert "hidden" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"port": "abc"}, "PORT"),
        ({"host": "192.0.2.1"}, "HOST"),
        (PRODUCTION | {"database_url": ""}, "DATABASE_URL"),
        ({"database_url": "mysql://u:hidden@h/d"}, "DATABASE_URL"),
    ],
)
def test_serve_refuses_a_setting_that_will_not_do_in_one_line(commands, data_dir, settings, name):
    settings = {"port": free_port(), "data_dir": data_dir} | settings
    assert refusal(commands.run("tasks-api", "serve", **settings)).startswith(f"tasks-api: {name}: ")
    assert not (data_dir / "postgres").exists()


def test_an_option_is_checked_like_its_variable(commands, data_dir):
    line = refusal(commands.run("tasks-api", "serve", "--port", "99999", data_dir=data_dir))
    assert line.startswith("tasks-api: PORT: ")


async def test_production_refuses_a_schema_that_is_behind_until_it_is_migrated(
    commands, data_dir, make_database: MakeDatabase
):
    settings: dict[str, Any] = PRODUCTION | {"database_url": await make_database(empty=True)}
    line = refusal(commands.run("tasks-api", "serve", port=free_port(), data_dir=data_dir, **settings))
    assert line.startswith("tasks-api: DATABASE_URL: ")
    assert line.endswith("run: tasks-api migrate")
    migrated = commands.run("tasks-api", "migrate", **settings)
    assert (migrated.returncode, migrated.stdout) == (0, "The schema is up to date.\n")
    with commands.start("tasks-api", "serve", data_dir=data_dir, **settings) as service:
        service.started()
        assert [
            json.loads(line)["level"] for line in service.output.splitlines()
        ]  # log lines, and no welcome


def test_production_starts_without_its_database_and_recovers_by_itself(commands, tmp_path, data_dir):
    settings = PRODUCTION | {"database_url": embedded.url(tmp_path / "late"), "health_timeout": 5}
    with commands.start("tasks-api", "serve", data_dir=data_dir, **settings) as service:
        service.started()
        assert "refuses service (FileNotFoundError); serving anyway" in service.output
        token = commands.run(
            "tasks-api", "token", "--user", "alice", better_auth_secret=SECRET
        ).stdout.strip()
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as client:
            assert client.get("/health").json()["database"] == "disconnected"
            down = client.get("/tasks")
            assert (down.status_code, "Retry-After" in down.headers) == (503, True)
            with embedded_postgres(tmp_path / "late", FAST) as url:
                migrate(url)
                assert wait_for(lambda: client.get("/health").status_code == 200, 5)
                assert client.get("/tasks").json() == {"tasks": [], "count": 0}


@pytest.mark.parametrize("reachable", [True, False])
def test_development_starts_without_its_database_too_and_says_so(commands, server, data_dir, reachable):
    """Not there at all, or there without the database that is meant."""
    url = server.replace("/postgres?", "/missing?") if reachable else NOWHERE
    with commands.start(
        "tasks-api", "serve", data_dir=data_dir, database_url=url, better_auth_secret=SECRET
    ) as service:
        service.started()
        assert httpx.get(f"{service.url}/health").status_code == 503
        assert "serving anyway" in service.output
        assert "Traceback" not in service.output
        assert "hidden" not in service.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["migrate"], "DATABASE_URL: "), (["migrate", "no-such-revision"], "no-such-revision")],
)
def test_migrate_says_in_one_line_what_it_cannot_do(commands, server, arguments, says):
    url = NOWHERE if len(arguments) == 1 else server
    assert says in refusal(commands.run("tasks-api", *arguments, database_url=url, better_auth_secret=SECRET))


def test_migrate_brings_the_embedded_database_up_to_date_and_stops_it(commands, data_dir):
    migrated = commands.run("tasks-api", "migrate", data_dir=data_dir)
    assert migrated.returncode == 0, migrated.stderr
    assert not processes_of(data_dir)
    with embedded_postgres(data_dir, FAST) as url:
        assert asyncio.run(administer(url, "SELECT * FROM tasks")) == []


@pytest.mark.parametrize("user", ["", "x" * 256, "a\nb", "a\x7fb"])
def test_a_user_id_that_no_request_could_have_gets_no_token(commands, user):
    line = refusal(commands.run("tasks-api", "token", "--user", user, better_auth_secret=SECRET))
    assert line.startswith("tasks-api: --user: ")


async def test_the_longest_user_id_gets_one(commands):
    printed = commands.run("tasks-api", "token", "--user", "ü" * 255, better_auth_secret=SECRET)
    assert (await Verifier(TokenVerifier(SECRET)).user(printed.stdout.strip())).id == "ü" * 255


def test_production_prints_no_tokens(commands):
    line = refusal(commands.run("tasks-api", "token", "--user", "alice", **PRODUCTION))
    assert line.startswith("tasks-api: ENVIRONMENT: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_can_be_copied(commands, command):
    shown = commands.run("tasks-api", command, "--help").stdout
    _, _, examples = shown.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines() if line]
    assert len(lines) >= 2
    assert all(f"tasks-api {command}" in line for line in lines)


def test_the_version_is_printed(commands):
    assert commands.run("tasks-api", "--version").stdout == f"{__version__}\n"


def test_without_a_command_the_commands_are_listed(commands):
    shown = commands.run("tasks-api")
    assert all(command in shown.stdout + shown.stderr for command in COMMANDS)
