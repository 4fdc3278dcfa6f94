"""The subjects, up and ready to be measured: on one PostgreSQL, each checked to do the same as the others."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.embedded import embedded_postgres
from bench.conformance import check
from bench.matrix import Target
from bench.subjects import SUBJECTS


@contextmanager
def database_server() -> Iterator[tuple[str, int]]:
    """Run an embedded PostgreSQL that is gone afterwards; give its URL and its main process's id."""
    with TemporaryDirectory(prefix="bench-") as folder, embedded_postgres(Path(folder)) as url:
        yield url, int(Path(folder, "postgres", "postmaster.pid").read_text().split()[0])


@contextmanager
def served(names: Sequence[str], server_url: str, postmaster: int) -> Iterator[list[Target]]:
    """Serve subjects, all at the same time, so that each can be visited at any time.

    Raises NotConforming when one does something else than the others.
    """
    with ExitStack() as stack:
        targets = []
        for subject in (SUBJECTS[name] for name in names):
            if missing := subject.missing():
                print(f"Left out: {subject.title}. {missing}", file=sys.stderr)
                continue
            subject.prepare(server_url)
            running = stack.enter_context(subject.serving(server_url))
            check(subject, running.url)
            database_url = subject.database(server_url) if subject.load else ""
            targets.append(Target(subject.name, running.url, running.pids, database_url, postmaster))
        yield targets
