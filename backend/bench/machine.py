"""Where a run of the bench took place: the machine, and the versions of all that took part."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

from app.embedded.cluster import command_line
from bench.subjects.node import FOLDER

_PACKAGES = {
    "ours": ["fastapi", "starlette", "uvicorn", "uvloop", "asyncpg", "pydantic", "orjson", "pyjwt"],
    "textbook": ["sqlmodel", "sqlalchemy"],
    "litestar": ["litestar", "advanced-alchemy"],
    "ninja": ["django", "django-ninja", "gunicorn", "psycopg"],
}


def facts() -> dict[str, Any]:
    """Tell what the figures depend on; no name of a host or a user."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _told("git", "rev-parse", "--short", "HEAD"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": _told(command_line("postgres", Path("/"))[-1], "--version").split()[-1],
        "node": _told("node", "--version").removeprefix("v"),
        "wrk": _told("wrk", "-v").split(" [")[0],
        "packages": dict(sorted((_python_packages() | _node_packages()).items())),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _told(program: str, *options: str) -> str:
    """Ask a program which it is; nothing where there is none. wrk says it, and fails for want of a URL."""
    path = shutil.which(program)
    if path is None:
        return ""
    said = subprocess.run([path, *options], capture_output=True, text=True, check=False).stdout  # noqa: S603 - no shell
    return said.splitlines()[0].strip() if said else ""


def _python_packages() -> dict[str, str]:
    found = {}
    for name in chain.from_iterable(_PACKAGES.values()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _node_packages() -> dict[str, str]:
    dependencies: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return dependencies
