"""What the goals are computed with: lines, what Linux tells, how uneven workers are, tasks by the million."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from bench.cpu import busy
from bench.goals.fit import Line
from bench.goals.growth_data import first_tasks, prepare
from bench.goals.server import subject
from bench.goals.workers import unevenness
from bench.processes import children, connections, established, resident_megabytes, rollup, workers
from tests.servers import wait_for

TICKS = os.sysconf("SC_CLK_TCK")

ROLLUP = """\
55d0c8a00000-7ffd5b1f8000 ---p 00000000 00:00 0                          [rollup]
Rss:               92160 kB
Pss:               71234 kB
Pss_Anon:          60000 kB
Private_Dirty:     60000 kB
"""

#: A listener; a connection that is accepted, one that is not yet, one of another port; another's other end.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0
   1: 0100007F:1F40 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   2: 0100007F:1F40 0100007F:C002 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   3: 0100007F:1F41 0100007F:C003 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0
   4: 0100007F:C001 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 104 1 0
"""


def test_a_line_through_points_of_a_line_is_that_line():
    points = {count: 250 + 3.5 * count for count in (10, 100, 1000, 10_000)}
    line = Line.through(points)
    assert (line.fixed, line.each) == pytest.approx((250, 3.5))
    assert line.off(points) == pytest.approx(0, abs=1e-6)


def test_what_grows_with_the_square_is_far_from_every_line():
    points = {count: count**2 / 10 for count in (10, 100, 1000, 10_000)}
    assert Line.through(points).off(points) > 50


def test_a_point_that_is_off_is_told_in_percent_of_itself():
    assert Line(10, 1).off({90: 125, 10: 20}) == pytest.approx(20)


def test_memory_is_read_in_kilobytes_by_name():
    assert rollup(ROLLUP) == {"Rss": 92160, "Pss": 71234, "Pss_Anon": 60000, "Private_Dirty": 60000}


def test_the_memory_of_this_process_is_some_megabytes():
    assert 20 < resident_megabytes(os.getpid()) < 2000


def test_connections_of_a_port_are_those_that_were_accepted():
    assert established(TCP, 8000) == {"socket:[101]"}


def test_connections_are_counted_for_the_process_that_accepted_them():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.create_connection(address):
            first, _ = listener.accept()
            with first:
                assert connections(os.getpid(), address[1]) == 1
                second, _ = listener.accept()
                with second:
                    assert connections(os.getpid(), address[1]) == 2


def test_a_server_without_spawned_workers_is_its_own():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert wait_for(lambda: child.pid in children(os.getpid()), 5)
    assert workers(child.pid) == [child.pid]
    child.communicate()


def test_the_machine_is_busy_with_all_but_idling_and_waiting_for_disks():
    worked, idled = busy("cpu  100 20 30 400 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert (worked * TICKS, idled * TICKS) == (163, 450)


@pytest.mark.parametrize(
    ("held", "percent"), [([50, 50], 0), ([60, 40], 20), ([0, 100], 100), ([20, 20, 35], 40)]
)
def test_unevenness_is_how_far_the_fullest_is_above_the_mean(held: list[int], percent: float):
    assert unevenness(held) == pytest.approx(percent)


async def test_the_table_grows_by_whole_lists_of_which_each_begins_with_a_first_task(
    server: str,
):
    grown = subject(data="test_growth")
    groups = [(10, 20, 0), (1, 300, 1000)]
    await asyncio.to_thread(prepare, grown, server, groups)
    url = grown.database(server)
    connection = await asyncpg.connect(url)
    counts = await connection.fetch(
        "SELECT l.user_id, l.revision, count(*) AS tasks, count(DISTINCT t.id) AS ids,"
        " max(t.revision) AS last FROM task_lists l JOIN tasks t USING (user_id) GROUP BY 1, 2"
    )
    await connection.close()
    expected = {f"user-{number}": 20 for number in range(10)} | {"user-1000": 300}
    assert {row["user_id"]: row["tasks"] for row in counts} == expected
    assert all(row["revision"] == row["ids"] == row["last"] == row["tasks"] for row in counts)
    first = await asyncio.to_thread(first_tasks, url, ["user-3", "user-1000"])
    assert set(first) == {"user-3", "user-1000"}


def test_each_goal_can_be_run_alone():
    for module in sorted((Path(__file__).parents[1] / "bench" / "goals").glob("*.py")):
        text = module.read_text()
        if "def measure(" in text and module.name != "everything.py":  # which __main__.py runs
            assert 'if __name__ == "__main__":\n    alone(measure)' in text, module.name
