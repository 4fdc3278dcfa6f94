"""Many clients over connections that break: no write is lost, doubled or out of order, no copy differs."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.audit import Scale, audit
from tests.conftest import SECRET, MakeDatabase
from tests.servers import Commands

SERVERS = 2


@contextmanager
def serving(commands: Commands, folder: Path, database_url: str) -> Iterator[list[int]]:
    """Serve one database by several processes; gives their ports."""
    settings = {"database_url": database_url, "better_auth_secret": SECRET, "database_timeout": 30}
    with ExitStack() as stack:
        services = [
            stack.enter_context(
                commands.start("tasks-api", "serve", data_dir=folder / f"data-{number}", **settings)
            )
            for number in range(SERVERS)
        ]
        yield [service.started().port for service in services]


@pytest.fixture
def checked_out(tmp_path: Path) -> Commands:
    return Commands(tmp_path, covered=False)


async def hold(commands: Commands, folder: Path, make_database: MakeDatabase, scale: Scale) -> None:
    with serving(commands, folder, await make_database()) as ports:
        report = await audit(ports, scale, secrets.randbelow(2**32))
    print(report)  # noqa: T201 - what was done; pytest shows it where it failed, and with -s
    assert not report.violations, report
    every = {"create", "patch", "put", "delete", "restore", "move", "purge", "empty"}
    assert every <= set(report.made), report
    assert report.most_in_a_revision > 1, report
    assert sum(report.cuts.values()) > 20, report


async def test_a_short_history_adds_up(checked_out, tmp_path, make_database):
    await hold(checked_out, tmp_path, make_database, Scale(seconds=5, users=6))


@pytest.mark.slow
async def test_the_history_of_a_minute_adds_up(checked_out, tmp_path, make_database):
    await hold(checked_out, tmp_path, make_database, Scale(seconds=60, users=20, writers=16, syncs=4))
