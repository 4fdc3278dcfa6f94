"""The systems that are measured, each written as its own documentation teaches.

All keep the plan's table, check an HS256 token on every request and answer as the contract asks. What
our service does beyond that (request ids, a log line and metrics for each, limits, entity tags, a
revision of every change, CORS) none of the others does: each of these would only make them dearer.
"""

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench.credentials import UNLIMITED
from bench.subjects.databases import load_ours
from bench.subjects.node import missing_node, node
from bench.subjects.subject import Command, Running, Subject

__all__ = ["SUBJECTS", "Running", "Subject"]


def _uvicorn(module: str) -> Command:
    """Serve with one worker, in the event loop and with the parser that uvicorn's extra installs."""
    options = ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log"]
    application = f"bench.subjects.python.{module}:app"
    return lambda port: [sys.executable, "-m", "uvicorn", application, "--port", str(port), *options]


def _serve(port: int) -> list[str]:
    return [str(Path(sys.executable).with_name("tasks-api")), "serve", "--port", str(port)]


def _gunicorn(port: int) -> list[str]:
    """Serve Django with one worker, and as many threads as its pool has connections."""
    application = "bench.subjects.python.django_tasks.wsgi"
    options = ["--workers", "1", "--threads", "10", "--log-level", "warning", "--bind", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "gunicorn", application, *options]


def _missing_package(name: str) -> str:
    return "" if find_spec(name) else f"{name} is not installed: uv sync --extra embedded --group bench."


_AS_IN_PRODUCTION = {"ENVIRONMENT": "production", "METRICS_TOKEN": "a-token-for-the-one-who-scrapes"}

#: The generator waits for answers, and none of the others refuses any: ours shall not, however full it is.
_PATIENT = {"DATABASE_QUEUE": "1000", "DATABASE_QUEUE_WAIT": "30"}
_NODE = {"NODE_ENV": "production"}

_ALL = [
    Subject("ours", "Tasks API", _serve, _AS_IN_PRODUCTION | UNLIMITED | _PATIENT, load_ours),
    Subject("textbook", "FastAPI + SQLModel", _uvicorn("textbook")),
    Subject(
        "litestar",
        "Litestar + advanced-alchemy",
        _uvicorn("litestar_tasks"),
        missing=partial(_missing_package, "litestar"),
    ),
    Subject("ninja", "django-ninja", _gunicorn, missing=partial(_missing_package, "ninja")),
    Subject("fastify", "Fastify + pg", node("fastify.js"), _NODE, missing=missing_node),
    Subject("express", "Express + Drizzle", node("express.js"), _NODE, missing=missing_node),
    Subject("starlette", "Starlette, no database", _uvicorn("bare_starlette"), load=None),
]

SUBJECTS = {subject.name: subject for subject in _ALL}
