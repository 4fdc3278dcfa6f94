"""What was acknowledged outlives every crash: nothing is lost, nothing is there twice."""

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from tests.audit import Report, Scale
from tests.conftest import administer
from tests.crashes import FAULTS, FEW_BETWEEN, SHORT, Stand, audited, standing
from tests.fragile_postgres import FragilePostgres
from tests.planted_faults import CRASH_FAULTS, Fault, plant
from tests.servers import Commands

pytestmark = pytest.mark.faults

ACKNOWLEDGED = 20_000
PATIENCE_SECONDS = 1800  # minutes on a machine of its own; it only ends what hangs

#: Where a mistake needs an unlucky moment, it gets so many histories to show in.
HISTORIES = 8
SMALL = Scale(seconds=0, users=6, writers=16, syncs=1, repeatable=True)

#: What the checks call a write that is not there any more: its number is given again, or it can't be found.
LOSSES = {"lost", "numbers", "revision twice", "told twice", "stale read", "order", "end", "replay", "copy"}

MakeFragile = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FragilePostgres]:
    postgres = FragilePostgres(tmp_path_factory.mktemp("fragile"))
    await postgres.start()
    for promise in ("fsync", "full_page_writes", "synchronous_commit"):
        assert [row[0] for row in await administer(postgres.url, f"SHOW {promise}")] == ["on"]
    yield postgres
    await postgres.end()


@pytest.fixture(scope="module")
def make_fragile(postgres: FragilePostgres) -> MakeFragile:
    """Make a database on the server that breaks; gives its name."""
    numbers = itertools.count()

    async def make(*, asynchronous: bool = False) -> str:
        name = f"crashes_{next(numbers)}"
        await administer(postgres.url, f"CREATE DATABASE {name} TEMPLATE template0")
        if asynchronous:
            await administer(postgres.url, f"ALTER DATABASE {name} SET synchronous_commit = off")
        return name

    return make


async def test_nothing_acknowledged_is_lost_or_doubled(tmp_path, postgres, make_fragile):
    seed = int(os.environ.get("AUDIT_SEED", secrets.randbelow(2**32)))
    scale = Scale(users=20, writers=16, syncs=2, acknowledged=ACKNOWLEDGED, repeatable=True)
    commands = Commands(tmp_path, covered=False)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        standing(postgres, await make_fragile(), commands, tmp_path) as stand,
    ):
        report = await audited(stand, scale, seed)
    print(report, f"\n  faults {dict(stand.made)}")  # noqa: T201 - what was done: shown where it failed, and with -s
    assert not report.violations, str(report)
    assert report.acknowledged >= ACKNOWLEDGED
    assert stand.made == FAULTS
    assert stand.made.total() >= 50
    assert report.unknown > 100
    assert set(report.statuses) <= {200, 201, 204, 404, 409, 412, 422, 503}


async def test_what_is_acknowledged_before_it_is_on_disk_is_found_to_be_lost(
    tmp_path, postgres, make_fragile
):
    """The audit has teeth: the same, but for the one promise that is taken back."""
    database = await make_fragile(asynchronous=True)
    commands = Commands(tmp_path, covered=False)
    async with asyncio.timeout(PATIENCE_SECONDS), standing(postgres, database, commands, tmp_path) as stand:
        report = await until_found(stand, {"session killed": 4, "PostgreSQL killed": 2})
    print(f"{report}\n  after {dict(stand.made)}")  # noqa: T201
    assert {check for check, _ in report.violations} & LOSSES, str(report)


@pytest.mark.parametrize("fault", CRASH_FAULTS, ids=lambda fault: fault.name)
async def test_a_planted_fault_is_caught(fault: Fault, tmp_path, postgres, make_fragile):
    commands = Commands(tmp_path, covered=False)
    plant(fault, tmp_path)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        standing(postgres, await make_fragile(), commands, tmp_path) as stand,
    ):
        report = await until_found(stand, SHORT)
    by = sorted({check for check, _ in report.violations})
    print(f"{fault.name}: caught by {by} after {report.acknowledged} writes and {dict(stand.made)}")  # noqa: T201
    assert 500 not in report.statuses, f"it only breaks the service: {report}"
    assert by, str(report)


async def until_found(stand: Stand, kinds: Mapping[str, int]) -> Report:
    """Audit again and again, up to the first sign."""
    for history in range(HISTORIES):
        report = await audited(stand, SMALL, history, kinds, FEW_BETWEEN)
        if report.violations:
            break
    return report
