"""What the capacity model stands on: figures of the last report, how people use it, sizes of computes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.matrix import Cell
from bench.ratios import CONNECTIONS
from bench.session import Measured

LATEST = Path(__file__).parent / "results/latest.json"


def _mix() -> dict[str, float]:
    reads = {"unchanged": 0.45, "list_20": 0.25, "get": 0.05}
    return reads | {"create": 0.08, "patch": 0.13, "delete": 0.04}


@dataclass(frozen=True)
class Assumed:
    """How people use it. Nobody has measured this; change it to what you know."""

    active: float = 0.2  #: share of the users who come on a day
    requests_a_day: int = 40  #: of each of them
    peak: float = 5  #: the busiest minute against the mean of the day
    tasks: int = 100  #: of each user, done and open
    trash_days: int = 30
    busy: float = 0.6  #: how busy a core may be at the peak
    cache: float = 0.75  #: share of the memory that holds pages of tables and indexes
    pool_size: int = 10  #: DATABASE_POOL_SIZE
    new_tokens: float = 0.25  #: share of the requests whose token was not seen in the last minute
    token: float = 160  #: µs of CPU to verify one (EdDSA, docs/decisions/0009 and the report)
    mix: dict[str, float] = field(default_factory=_mix)  #: of requests; sums up to 1


ASSUMED = Assumed()


@dataclass(frozen=True)
class Size:
    """A Neon compute: memory in bytes, and server connections that its pooler opens."""

    name: str
    cpus: float
    memory: float
    max_connections: int

    @property
    def pool(self) -> int:
        """90 % of max_connections, for one user and database."""
        return int(self.max_connections * 0.9)


#: https://neon.com/docs/connect/connection-pooling, in the order of size.
SIZES = [
    Size(f"{units:g} CU", units, units * 4e9, most)
    for units, most in [
        *((0.25, 104), (0.5, 209), (1, 419), (2, 839), (4, 1678), (8, 3357)),
        *((16, 4000), (32, 4000), (56, 4000)),
    ]
]


@dataclass(frozen=True)
class Inputs:
    """µs of CPU and bytes of WAL by kind of request; bytes of heap and indexes."""

    app: dict[str, float]
    database: dict[str, float]
    wal: dict[str, float]
    bytes_per_task: float
    bytes_per_user: float
    assumed: tuple[str, ...]  #: what the report did not have


#: Until a report has them: CPU of the prototypes in docs/decisions/0001, the rest by bench.storage.
_FALLBACK: dict[str, dict[str, float]] = {
    "app": {"unchanged": 300, "list_20": 320, "get": 300, "create": 380, "patch": 380, "delete": 380},
    "database": {"unchanged": 140, "list_20": 140, "get": 140, "create": 150, "patch": 150, "delete": 150},
    "wal": {"create": 7192, "patch": 14758, "delete": 15071},
    "storage": {"bytes_per_task": 250, "bytes_per_user": 167},
}


def read(path: Path = LATEST) -> Inputs:
    """Take from the report's `capacity` what it has; its `assumed` names what it lacks."""
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    given = report.get("capacity", {})
    parts = {name: fallback | given.get(name, {}) for name, fallback in _FALLBACK.items()}
    assumed = tuple(
        f"{name} {key} = {value:g}"
        for name, fallback in _FALLBACK.items()
        for key, value in fallback.items()
        if key not in given.get(name, {})
    )
    storage = parts.pop("storage")
    return Inputs(**parts, **storage, assumed=assumed)


def costs_of_ours(measured: Measured) -> dict[str, dict[str, float]]:
    """Return the µs of CPU of each kind of request, for the report's `capacity`."""
    found = {work: measured.cells[Cell("ours", work, CONNECTIONS)] for work in ASSUMED.mix}
    return {
        "app": {work: round(median(cost.app for cost in costs)) for work, costs in found.items()},
        "database": {work: round(median(cost.database for cost in costs)) for work, costs in found.items()},
    }
