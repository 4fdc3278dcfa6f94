"""What one run of the bench measures: each subject at each work, and all of it mixed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.matrix import Cell, Cost, Target, measure, measure_one, rotated, visits
from bench.progress import Progress
from bench.work import READS, WRITES, Work

READERS, WRITERS = 80, 20  # connections of the mixed load
_MIXED_SECONDS = 3


@dataclass(slots=True)
class Measured:
    """Costs by cell, one for each round; of the mixed load by subject those of its reads and its writes."""

    cells: dict[Cell, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    mixed: dict[str, list[tuple[Cost, Cost]]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class Session:
    """The subjects that are being served, and what has been measured of them."""

    targets: Sequence[Target]
    progress: Progress
    measured: Measured = field(default_factory=Measured)

    def run_cells(self, works: Sequence[Work], connections: Sequence[int], rounds: int) -> None:
        """Visit every subject at every work in each round."""
        for number in range(rounds):
            for target, work, count in visits(self.targets, works, connections, number):
                what = f"{work.title}, {count} connections, {target.name}"
                self.progress.step(f"round {number + 1} of {rounds}", what)
                cost = measure_one(target, work, count)
                self.measured.cells[Cell(target.name, work.name, count)].append(cost)

    def run_mixed(self, rounds: int) -> None:
        """Let 80 connections read while 20 write, each as fast as it is answered."""
        able = [target for target in self.targets if target.database_url]
        for number in range(rounds):
            for target in rotated(able, number):
                self.progress.step(f"mixed load, round {number + 1} of {rounds}", target.name)
                reads, writes = measure(target, [(READS, READERS), (WRITES, WRITERS)], _MIXED_SECONDS)
                self.measured.mixed[target.name].append((reads, writes))
