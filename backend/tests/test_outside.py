"""The usual way of testing a FastAPI service from outside, done exactly so, in a process of its own.

Environment variables, then the imports; requests through httpx's ASGITransport without a lifespan; each test
in an event loop of its own; tokens signed with the secret of get_settings().
"""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from app.config import BACKEND
from tests.conftest import SECRET, administer

SUITE = """
import os
import time
import uuid

import httpx2 as httpx
import jwt
import pytest

os.environ["DATABASE_URL"] = {url!r}
os.environ["BETTER_AUTH_SECRET"] = {secret!r}
os.environ["CORS_ORIGINS"] = "http://localhost:3000"

from app.config import get_settings
from app.main import app


def headers(user):
    claims = {{"sub": user, "iat": int(time.time()), "exp": int(time.time()) + 60}}
    token = jwt.encode(claims, get_settings().better_auth_secret, algorithm="HS256")
    return {{"Authorization": f"Bearer {{token}}"}}


@pytest.fixture
async def client():
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def test_settings_are_plain():
    settings = get_settings()
    assert settings is get_settings()
    for name in ("database_url", "better_auth_secret", "cors_origins"):
        assert type(getattr(settings, name)) is str
    assert settings.better_auth_secret not in repr(settings)


@pytest.mark.parametrize("number", range(5))
async def test_a_task_goes_all_the_way(client, number):
    mine = headers(str(uuid.uuid4()))
    made = await client.post("/tasks", json={{"text": "x"}}, headers=mine)
    assert made.status_code == 201
    listed = await client.get("/tasks", headers=mine)
    assert listed.json() == {{"tasks": [made.json()], "count": 1}}
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/tasks")).status_code == 401
"""


@pytest.mark.slow
async def test_a_suite_from_outside_passes_and_leaves_no_connection(tmp_path: Path, make_database):
    url = await make_database()
    suite = tmp_path / "test_from_outside.py"
    suite.write_text(textwrap.dedent(SUITE).format(url=url, secret=SECRET))
    strict = ["-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error", "-o", "asyncio_mode=auto"]
    strict += ["-o", "asyncio_default_fixture_loop_scope=function"]
    run = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--rootdir",
            str(tmp_path),
            "-c",
            "/dev/null",
            *strict,
            str(suite),
        ],
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 passed" in run.stdout
    assert "warning" not in run.stdout
    left = await administer(
        url, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert left == []
