"""Schemathesis: the service against its own OpenAPI document, with all its checks, over HTTP."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import BACKEND, Settings
from app.main import create_app
from app.protocol import Config
from tests.conftest import SECRET

pytestmark = pytest.mark.slow

#: How many cases there are to be, in all; each of the runs, which go side by side, makes its share.
CASES = int(os.environ.get("SCHEMATHESIS_CASES", "1000"))
RUNS = 2
#: What one more example for each operation comes to, over all of them: some have few that differ.
CASES_OF_AN_EXAMPLE = 8


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free loopback port, in a thread with an event loop of its own."""
    server = uvicorn.Server(Config(app, port=0, server_header=False, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.no_cover  # a thousand requests; what they run, others cover
@pytest.mark.parametrize("number", range(RUNS))
async def test_the_service_does_what_its_document_says(settings: Settings, tmp_path: Path, number: int):
    # A condition that does not hold is no fault of the request's form; of made-up ones hardly any holds.
    accepted = ["2xx", "3xx", "401", "403", "404", "409", "410", "412", "5xx"]
    rule = "positive_data_acceptance.expected-statuses"
    (tmp_path / "schemathesis.toml").write_text(
        f"warnings = false\n[checks]\n{rule} = {json.dumps(accepted)}\n"
        # Next to a task that it made up there is no place.
        f"[[operations]]\ninclude-name = 'POST /tasks/{{task_id}}/move'\n"
        f"checks.{rule} = {json.dumps([*accepted, '422'])}\n"
    )
    token = sign(f"schemathesis-{uuid.uuid4()}", SECRET, seconds=3600)
    app = create_app(settings)
    app.state.listeners.end()  # so that event streams have an end, which schemathesis waits for
    examples = max(1, CASES // RUNS // CASES_OF_AN_EXAMPLE)
    with served(app) as url:
        run = await asyncio.to_thread(
            subprocess.run,
            [
                str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
                "--checks=all", "--phases=examples,coverage,fuzzing,stateful", "--continue-on-failure",
                f"--max-examples={examples}", f"--header=Authorization: Bearer {token}",
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(BACKEND), "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks"},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout
    assert int(re.findall(r"(\d+) generated", run.stdout)[0]) >= CASES // RUNS, run.stdout
    assert re.search(r"Stateful \(in .*?✅ \d+ passed", run.stdout, re.DOTALL), run.stdout
    assert app.state.observer.registry.get_sample_value("tasks_unexpected_errors_total") == 0
    assert not errors(app), "the database was asked what it can't do"


def errors(app: FastAPI) -> list[tuple[str, float]]:
    """The classes of the database's errors, with how many there were."""
    found = app.state.observer.registry.collect()
    (metric,) = [metric for metric in found if metric.name == "tasks_database_errors"]
    return [(sample.labels["class"], sample.value) for sample in metric.samples if "class" in sample.labels]
