"""What the goals share: a PostgreSQL, the service on it with its data, and a way to measure one alone."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bench.figures import Figure, table
from bench.matrix import Target
from bench.served import database_server
from bench.subjects import SUBJECTS, Subject


@dataclass(frozen=True)
class Server:
    """A PostgreSQL, and whether there is time for all or only for a look."""

    url: str
    postmaster: int
    quick: bool = False


def subject(name: str = "ours", data: str = "goals", **environment: str) -> Subject:
    """Return a system with a database that only the goals use, and settings of its own."""
    found = SUBJECTS[name]
    return replace(found, name=f"{data}_{name}", environment={**found.environment, **environment})


def prepare(server: Server, name: str = "ours") -> None:
    """Make its database, with the data that all measurements have."""
    subject(name).prepare(server.url)


@contextmanager
def serving(
    server: Server, name: str = "ours", data: str = "goals", through: str = "", **environment: str
) -> Iterator[Target]:
    """Serve a system while the block lasts; `through` names another way to the same PostgreSQL."""
    chosen = subject(name, data, **environment)
    with chosen.serving(through or server.url) as running:
        yield Target(name, running.url, running.pids, chosen.database(server.url), server.postmaster)


def port_of(target: Target) -> int:
    port = urlsplit(target.url).port
    if port is None:
        raise ValueError(f"{target.url} names no port")
    return port


def alone(measure: Callable[[Server], list[Figure]]) -> None:
    """Run one measurement from the command line, on a PostgreSQL that is gone afterwards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests and tasks")
    given = parser.parse_args()
    with database_server() as (url, postmaster):
        server = Server(url, postmaster, quick=given.quick)
        prepare(server)
        print(table(measure(server)))
