"""The measured systems that are written in JavaScript: how they are started, and whether they can be."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from bench.subjects.subject import Command

FOLDER = Path(__file__).parent
_OLDEST = (20, 19)


def node(script: str) -> Command:
    """Run a script of this folder, in one process."""
    return lambda port: [shutil.which("node") or "node", str(FOLDER / script), str(port)]


@cache
def missing_node() -> str:
    """Say what is missing for them, if anything is."""
    found = shutil.which("node")
    if found is None:
        return "Node.js is not installed."
    version = subprocess.run(  # noqa: S603 - the Node that is on PATH
        [found, "-p", "process.versions.node"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if tuple(map(int, version.split(".")[:2])) < _OLDEST:
        return f"Node.js is {version}, and 20.19 or newer is needed."
    if not (FOLDER / "node_modules" / "pg").is_dir():
        return "What the Node.js systems need is not installed: npm ci in bench/subjects/node."
    return ""
