"""The application as a server runs it: `uvicorn app.main:app`, from `backend/`."""

import asyncio
import logging
import signal
from pathlib import Path

import httpx2 as httpx
import pytest

from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app, lifespan
from tests.conftest import SECRET
from tests.key_server import answering, hanging_up, key_server, waiting
from tests.servers import Commands, processes_of
from tests.signing import KeyPair, key_set

UVICORN = ("uvicorn", "app.main:app", "--port", "{port}")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_with_nothing_set_it_brings_its_own_database_and_leaves_nothing(commands, data_dir):
    with commands.start(*UVICORN, data_dir=data_dir) as service:
        service.started()
        assert httpx.get(f"{service.url}/health").json()["database"] == "connected"
        token = sign("alice", (data_dir / "secret").read_text(), seconds=60)
        tasks = httpx.get(f"{service.url}/tasks", headers={"Authorization": f"Bearer {token}"})
        assert tasks.json() == {"tasks": [], "count": 0}
        assert service.ends_after(signal.SIGTERM)
        assert "Traceback" not in service.output


def test_with_a_database_nothing_embedded_starts(commands, data_dir, database_url):
    with commands.start(
        *UVICORN, data_dir=data_dir, database_url=database_url, better_auth_secret=SECRET
    ) as service:
        service.started()
        assert httpx.get(f"{service.url}/health").json()["database"] == "connected"
        assert processes_of(data_dir) == {service.process.pid}
        assert not data_dir.exists()
        assert service.ends_after(signal.SIGTERM)


def test_a_setting_that_will_not_do_is_one_line(commands):
    refused = commands.run("uvicorn", "app.main:app", environment="production", better_auth_secret=SECRET)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        "tasks-api: DATABASE_URL: production needs it, the embedded server is for development"
    ]


def test_a_folder_that_will_not_do_is_told_without_a_traceback(commands):
    """It is found when the lifespan starts the embedded database."""
    refused = commands.run("uvicorn", "app.main:app", data_dir="/proc/nope", better_auth_secret=SECRET)
    assert refused.returncode != 0
    said = refused.stdout + refused.stderr
    assert "DATA_DIR: /proc/nope can't be written" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("auth_server", ["hangs", "is gone", "answers"])
async def test_the_start_fetches_the_keys_behind_and_waits_for_nobody(database_url, auth_server):
    pair = KeyPair("first")
    async with key_server() as server:
        server.behave = answering(key_set(pair.jwk()))
        if auth_server == "hangs":
            server.behave = waiting(asyncio.Event(), hanging_up)
        url = "http://127.0.0.1:1" if auth_server == "is gone" else server.url
        app = create_app(
            Settings(
                database_url=database_url,
                better_auth_url="http://127.0.0.1:3000",
                better_auth_jwks_url=url,
                better_auth_secret=SECRET,
            )
        )
        handlers = list(logging.getLogger().handlers)
        async with asyncio.timeout(10), lifespan(app):
            if auth_server != "is gone":
                await server.asked.wait()
        assert not app.state.jwks._is_fetching()  # noqa: SLF001 - given up with the rest
        logging.getLogger().handlers[:] = handlers
