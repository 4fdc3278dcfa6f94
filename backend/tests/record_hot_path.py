"""Records what the hot paths cost, for test_hot_path.py: hot_path.json.

.venv/bin/python -m tests.record_hot_path

Run it when a path got cheaper, to keep the gain, or dearer for a reason; the commit shows by how much.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from app.config import BACKEND
from app.embedded import embedded_postgres
from app.migrations import migrate
from tests.conftest import FAST

RECORDED = Path(__file__).with_name("hot_path.json")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder), FAST) as url:
        migrate(url)
        counted = asyncio.run(count(url))
    for cost in counted.values():
        cost["by"] = modules(cost["by"])
    RECORDED.write_text(json.dumps(counted, indent=1) + "\n")
    for name, cost in counted.items():
        sys.stdout.write(
            f"{name:15}{cost['steps']:7,} steps {cost['blocks']:4} blocks {cost['rows']:6,} rows\n"
        )


async def count(database_url: str) -> dict[str, dict[str, Any]]:
    """Count in a process of its own: without coverage, other tests' leavings, or settings of this machine."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hot_path", database_url),
        cwd=BACKEND,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the hot paths could not be counted; see above")
    counted: dict[str, dict[str, Any]] = json.loads(printed)
    return counted


def modules(functions: dict[str, int]) -> dict[str, int]:
    """Sum up by module what is counted by function."""
    summed: Counter[str] = Counter()
    for function, steps in functions.items():
        summed[function.partition(":")[0]] += steps
    return dict(summed.most_common())


if __name__ == "__main__":
    main()
