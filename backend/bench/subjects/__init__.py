"""The systems that are measured, each written as its own documentation teaches.

All keep the plan's table, check an HS256 token on every request and answer as the contract asks. What
our service does beyond that (request ids and a log line each, limits, entity tags, a revision of every
change, CORS) none of the others does: each of these would only make them dearer.
"""

import sys
from pathlib import Path

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


_ALL = [
    Subject("ours", "Tasks API", _serve, {"ENVIRONMENT": "production"}, load_ours),
    Subject("textbook", "FastAPI + SQLModel", _uvicorn("textbook")),
    Subject("fastify", "Fastify + pg", node("fastify.js"), {"NODE_ENV": "production"}, missing=missing_node),
    Subject("starlette", "Starlette, no database", _uvicorn("bare_starlette"), load=None),
]

SUBJECTS = {subject.name: subject for subject in _ALL}
