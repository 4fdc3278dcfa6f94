"""What a number of users needs, computed from what was measured and from assumptions that are named.

.venv/bin/python -m bench.capacity           # shows the table of docs/performance.md
.venv/bin/python -m bench.capacity --paste   # puts it there
"""

import re
import sys
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from bench.capacity_inputs import ASSUMED, SIZES, Inputs, Size, read

DOCUMENT = Path(__file__).parents[2] / "docs/performance.md"
_BLOCK = re.compile(r"(?<=<!-- capacity -->\n).*?(?=<!-- /capacity -->)", re.DOTALL)
_HEAD = (
    *("users", "requests/s at peak", "cores, app + database", "storage", "WAL a day", "dead rows a day"),
    *("full first, of what the line above has", "then: workers, connections, database"),
)
_GB = 1e9
_DAY = 86_400


@dataclass(frozen=True)
class Need:
    """What a number of users asks for at the peak; sizes in bytes, CPU in cores."""

    users: int
    inputs: Inputs = field(repr=False)

    @property
    def requests(self) -> float:
        """Requests a day."""
        return self.users * ASSUMED.active * ASSUMED.requests_a_day

    @property
    def peak(self) -> float:
        """Requests a second when it is busiest."""
        return self.requests / _DAY * ASSUMED.peak

    @property
    def app(self) -> float:
        return self.peak * (self._each(self.inputs.app) + ASSUMED.new_tokens * ASSUMED.token) / 1e6

    @property
    def database(self) -> float:
        return self.peak * self._each(self.inputs.database) / 1e6

    @property
    def storage(self) -> float:
        """Tasks, those in the trash, and counters."""
        trash = self.requests * ASSUMED.mix["delete"] * ASSUMED.trash_days
        tasks = self.users * ASSUMED.tasks + trash
        return tasks * self.inputs.bytes_per_task + self.users * self.inputs.bytes_per_user

    @property
    def wal(self) -> float:
        return self.requests * self._each(self.inputs.wal)

    @property
    def dead(self) -> float:
        """Row versions that a day leaves behind: each write moves the counter, a change also its task."""
        versions = {"create": 1, "patch": 2, "delete": 3}  # a deleted task is purged later
        return self.requests * self._each(versions)

    def _each(self, costs: dict[str, float] | dict[str, int]) -> float:
        """Return the mean of a request by the mix of requests."""
        return sum(share * costs.get(work, 0) for work, share in ASSUMED.mix.items())


@dataclass(frozen=True)
class Deployment:
    """Worker processes, and databases of one size: more than one is Citus."""

    workers: int
    size: Size
    nodes: int = 1

    @property
    def connections(self) -> int:
        return self.workers * ASSUMED.pool_size

    def used(self, need: Need) -> dict[str, float]:
        """Return how full each part is; 1 is as full as it should be."""
        return {
            "application CPU": need.app / (self.workers * ASSUMED.busy),
            "database CPU": need.database / (self.nodes * self.size.cpus * ASSUMED.busy),
            "database memory": need.storage / (self.nodes * self.size.memory * ASSUMED.cache),
            "connections": self.connections / (self.nodes * self.size.pool),
        }


def smallest(need: Need) -> Deployment:
    """Return the smallest deployment that no part of is too full."""
    workers = max(1, ceil(need.app / ASSUMED.busy))
    for size in SIZES:
        if max((deployment := Deployment(workers, size)).used(need).values()) <= 1:
            return deployment
    one = Deployment(workers, SIZES[-1]).used(need)
    return Deployment(workers, SIZES[-1], ceil(max(one.values())))


def table(inputs: Inputs) -> str:
    """Lay out a line for each power of ten, as Markdown."""
    lines: list[tuple[str, ...]] = [_HEAD, ("---:",) * 6 + ("---",) * 2]
    has = Deployment(1, SIZES[0])
    for power in range(2, 8):
        need = Need(10**power, inputs)
        used = has.used(need)
        part = max(used, key=used.__getitem__)
        has = smallest(need)
        lines.append((*_needs(need), f"{part}, {used[part]:.0%}", _told(has)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _needs(need: Need) -> tuple[str, ...]:
    return (
        f"{need.users:,}",
        f"{need.peak:,.2f}" if need.peak < 1 else f"{need.peak:,.0f}",
        f"{need.app:.3f} + {need.database:.3f}",
        *(
            f"{size / _GB:,.3f} GB" if size < _GB else f"{size / _GB:,.0f} GB"
            for size in (need.storage, need.wal)
        ),
        f"{need.dead:,.0f}",
    )


def _told(has: Deployment) -> str:
    nodes = f"{has.nodes} nodes of " if has.nodes > 1 else ""
    return f"{has.workers}, {has.connections}, {nodes}{has.size.name}"


def pasted(document: str, inputs: Inputs) -> str:
    """Return the document with the table of today."""
    return _BLOCK.sub(lambda _: "\n" + table(inputs) + "\n", document)


def main() -> None:
    inputs = read()
    if "--paste" in sys.argv:
        DOCUMENT.write_text(pasted(DOCUMENT.read_text(), inputs))
    print(table(inputs))
    print("\n".join(f"assumed, not measured: {name}" for name in inputs.assumed))


if __name__ == "__main__":
    main()
