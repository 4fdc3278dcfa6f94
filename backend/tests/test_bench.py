"""The bench computes what it says: what wrk and pgbench report, CPU time, ratios, goals, the report."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app.queries.task_statements import GET
from bench import results
from bench.capacity_inputs import ASSUMED, costs_of_ours, read
from bench.cpu import cpu_seconds
from bench.data import SMALL
from bench.figures import Figure, table
from bench.floor import Expression, Floor, literal, parse, script
from bench.growth_points import points
from bench.load import LoadError, Run
from bench.matrix import Cell, Cost, Target, is_asked, rotated, visits
from bench.ratios import figures, ratios
from bench.readme import README, shown, written
from bench.session import Measured
from bench.subjects.processes import tree
from bench.whole import ROUNDS
from bench.work import READS, WORKS, raw

# What the generators of load report

WRK = """Running 1m test @ http://127.0.0.1:41953
  1 threads and 20 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   850.00us    1.00ms  11.00ms   97.00%
    Req/Sec    23.43k    13.93    40.00k    57.14%
  1500 requests in 502.00ms, 6.71MB read
Requests/sec:   3000.17
Transfer/sec:      7.04MB

RESULT {"seconds": 0.500000, "completed": 1500.000000, "bytes": 7037830.000000, "refused": 0.000000, \
"late": 0.000000, "p50": 0.600000, "p95": 2.500000, "p99": 9.000000, "longest": 11.000000, \
"sent": 1500.000000}
"""
RUN = Run(1500, 0.5, p50=0.6, p95=2.5, p99=9, longest=11, bytes=7_037_830, failed=0, generator_cpu=0.1)


def test_a_run_of_wrk_is_read():
    run = Run.parse(WRK, generator_cpu=0.1)
    assert run == RUN
    assert run.per_second == 3000


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"refused": 0.0', '"refused": 3.0'),
        ('"late": 0.0', '"late": 3.0'),
        ('"sent": 1500.0', '"sent": 1503.0'),
    ],
)
def test_a_request_that_failed_is_counted(said: str, instead: str):
    assert WRK.count(said) == 1
    assert Run.parse(WRK.replace(said, instead)).failed == 3


@pytest.mark.parametrize("output", ["", "unable to connect", WRK + WRK, WRK.replace(": 1500.0", ": 0.0")])
def test_a_run_without_one_result_is_refused(output: str):
    with pytest.raises(LoadError):
        Run.parse(output)


PGBENCH = """number of transactions actually processed: 18347
number of failed transactions: 0 (0.000%)
latency average = 0.541 ms
tps = 18400.500000 (without initial connection time)
"""


def test_a_run_of_pgbench_is_read_and_one_that_failed_refused():
    assert parse(PGBENCH) == (18347, 18400.5)
    for output in ("", PGBENCH.replace("transactions: 0", "transactions: 1"), PGBENCH.replace("18347", "0")):
        with pytest.raises(ValueError, match="pgbench failed"):
            parse(output)


def test_a_statement_is_written_with_its_values_in_place():
    task_id = UUID("01a20a00-d78d-705a-8dcb-48fc568cab6b")
    text = script(GET, user_id="o'brien", id=task_id)
    assert "$" not in text
    assert text.endswith(";\n")
    assert "'o''brien'" in text
    assert f"'{task_id}'" in text


def test_values_are_written_in_sql():
    values = [None, True, 5, "a'b", [1, 2], Expression("now()")]
    assert [literal(value) for value in values] == ["NULL", "true", "5", "'a''b'", "'{1,2}'", "now()"]
    with pytest.raises(TypeError):
        literal(1.5)


# CPU time

BURN = """
import resource, subprocess, sys, threading, time
def burn(clock, seconds):
    started = clock()
    while clock() - started < seconds: pass
if sys.argv[1:]:
    burn(time.process_time, 0.3)
else:
    subprocess.run([sys.executable, __file__, "child"], check=True)
    thread = threading.Thread(target=burn, args=[time.thread_time, 0.2])
    thread.start()
    thread.join()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(time.process_time() + children.ru_utime + children.ru_stime, flush=True)
    sys.stdin.read()
"""


def test_cpu_time_has_ended_threads_and_ended_children_in_it(tmp_path):
    program = tmp_path / "burn.py"
    program.write_text(BURN)
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        own_account = float(process.stdout.readline())
        assert own_account >= 0.5
        assert cpu_seconds(tree(process.pid)) == pytest.approx(own_account, abs=0.05)


def test_a_process_that_is_gone_has_used_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert cpu_seconds([process.pid]) == 0


# Who is measured, and when

OURS = Target("ours", "http://x", list, "postgresql://x")
TEXTBOOK = replace(OURS, name="textbook")
BARE = Target("starlette", "http://x", list)
TARGETS = [OURS, TEXTBOOK, BARE]


def test_each_subject_is_asked_for_what_it_has():
    asked = [
        (target.name, work.name) for work in WORKS.values() for target in TARGETS if is_asked(target, work)
    ]
    assert [work for name, work in asked if name == "starlette"] == ["health"]
    assert [name for name, work in asked if work == "unchanged"] == ["ours"]
    assert {work for name, work in asked if name == "ours"} == set(WORKS)


def test_a_round_visits_every_cell_once_and_lets_everybody_begin():
    works = [WORKS["list_20"], WORKS["health"]]
    rounds = [[*visits(TARGETS, works, [1, 20], number)] for number in range(6)]
    for visited in rounds:
        cells = Counter((target.name, work.name, count) for target, work, count in visited)
        assert len(cells) == 2 * 2 + 3 * 2
        assert set(cells.values()) == {1}
    assert Counter(visited[0][0].name for visited in rounds) == {"ours": 3, "textbook": 3}
    assert rotated([], 3) == []


# What is sent


def test_a_request_says_how_long_its_body_is_in_bytes():
    head, _, body = raw("POST", "/tasks", SMALL[0], {"text": "Zoë"}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /tasks HTTP/1.1\r\nHost: ")
    assert b"Content-Length: %d" % len(body) in head.split(b"\r\n")
    assert json.loads(body) == {"text": "Zoë"}


def test_every_patch_changes_something():
    patches = WORKS["patch"].requests("", [])
    last: dict[bytes, bytes] = {}
    for request in patches * 2:
        line, _, body = request.partition(b"\r\n")[0], None, request.partition(b"\r\n\r\n")[2]
        assert last.get(line) != body
        last[line] = body
    assert len(last) == len(SMALL)


def test_reads_of_the_mixed_load_are_lists_and_single_tasks_by_turns():
    lines = [request.split(b" ")[1] for request in READS.requests("", [])]
    assert {line == b"/tasks" for line in lines[::2]} == {True}
    assert {line.startswith(b"/tasks/") for line in lines[1::2]} == {True}


# Goals


def test_a_goal_is_a_bound_above_or_below():
    assert Figure("x", "", [1, 2, 9], goal=2).met
    assert not Figure("x", "", [1, 2, 9], goal=2, always=True).met
    assert Figure("x", "", [1, 2, 9], goal=2, at_least=True).met
    assert not Figure("x", "", [1, 2, 9], goal=2, at_least=True, always=True).met
    assert not Figure("x", "", [1, 1.9, 9], goal=2, at_least=True).met
    assert Figure("x", "", [1]).met is None


def test_a_table_says_what_was_wanted():
    shown_goals = table([Figure("a", "x", [0.2], goal=0.25), Figure("b", "x", [2], goal=1.6, at_least=True)])
    assert "<= 0.25" in shown_goals
    assert ">= 1.60" in shown_goals


def cost(app: float, database: float = 0, **run: Any) -> Cost:
    return Cost(app, database, replace(RUN, **run))


def test_a_ratio_is_taken_inside_a_round():
    ours, theirs = [cost(10, 10), cost(40, 20), cost(100)], [cost(100), cost(150, 50), cost(250, 0)]
    assert ratios(ours, theirs) == [0.2, 0.3, 0.4]


def measured() -> Measured:
    """Let ours cost 120 everywhere and a 304 half of it, the textbook 5 times as much, Fastify the same."""
    found = Measured()
    for work in WORKS:
        found.cells[Cell("ours", work, 20)] = [cost(100, 20)] * 3
        if work != "unchanged":
            found.cells[Cell("textbook", work, 20)] = [cost(500, 100)] * 3
            found.cells[Cell("fastify", work, 20)] = [cost(100, 20)] * 3
    found.cells[Cell("ours", "unchanged", 20)] = [cost(50, 10)] * 3
    found.cells[Cell("starlette", "health", 20)] = [cost(30), cost(30, generator_cpu=0.2), cost(30)]
    found.mixed["ours"] = [(cost(1, p50=10, p95=50, p99=40), cost(1, p50=10, p95=95, p99=20))] * 3
    return found


def figure(name: str, found: Measured) -> Figure:
    (one,) = [figure for figure in figures(found, [70_000]) if figure.name == name]
    return one


@pytest.mark.parametrize(
    ("name", "value", "goal", "met"),
    [
        ("list of 20: CPU against the textbook", 0.2, 0.25, True),
        ("list of 1,000: CPU against the textbook", 0.2, 0.25, True),
        ("create: CPU against the textbook", 0.2, 0.2, True),
        ("patch: CPU against the textbook", 0.2, 0.2, True),
        ("delete: CPU against the textbook", 0.2, 0.2, True),
        ("list of 20: CPU against Fastify", 1, 1, True),
        ("list of 1,000: CPU against Fastify", 1, 1, True),
        ("get one: CPU against Fastify", 1, 1, True),
        ("create: CPU against Fastify", 1, 1.3, True),
        ("patch: CPU against Fastify", 1, 1.3, True),
        ("delete: CPU against Fastify", 1, 1.3, True),
        ("304 of a list of 1,000: CPU against the cheapest route with a round trip", 0.5, 1.5, True),
        ("100 connections, mixed load: reads, p95", 50, 60, True),
        ("100 connections, mixed load: reads, p99 over p50", 4, 3, False),
        ("100 connections, mixed load: reads, errors", 0, 0, True),
        ("100 connections, mixed load: writes, p95", 95, 90, False),
        ("100 connections, mixed load: writes, p99 over p50", 2, 3, True),
        ("100 connections, mixed load: writes, errors", 0, 0, True),
        ("wrk in the run that it worked most in", 0.4, 2 / 3, True),
    ],
)
def test_each_goal_is_computed(name: str, value: float, goal: float, met: bool):  # noqa: FBT001 - a parameter
    found = figure(name, measured())
    assert found.measured == pytest.approx(value)
    assert (found.goal, found.met) == (goal, met)


def test_what_costs_more_misses_its_goal():
    dear = measured()
    dear.cells[Cell("ours", "create", 20)] = [cost(130, 30)] * 3
    assert figure("create: CPU against the textbook", dear).met is False
    assert figure("create: CPU against Fastify", dear).met is False


def test_a_304_is_compared_with_what_is_cheapest_in_its_round():
    found = measured()
    found.cells[Cell("ours", "get", 20)] = [cost(30), cost(30), cost(1000)]
    name = "304 of a list of 1,000: CPU against the cheapest route with a round trip"
    assert figure(name, found).rounds == [2, 2, 0.5]


def test_one_error_in_one_round_misses_the_goal():
    found = measured()
    found.mixed["ours"] = [*found.mixed["ours"], (cost(1, failed=1), cost(1))]
    assert figure("100 connections, mixed load: reads, errors", found).met is False


def test_what_was_not_measured_has_no_figure():
    assert figures(Measured(), []) == []


# The report


def test_the_report_has_every_cell_and_every_goal(tmp_path):
    found = figures(measured(), [70_000])
    path = tmp_path / "results" / "latest.json"
    results.write(
        results.report(measured(), [Floor("get", 17.1, 50_000)], found, {"cores": 2}, {"wal": {}}), path
    )
    report = results.read(path)
    assert len(report["cells"]) == len(measured().cells)
    assert report["cells"][0] | {"app": 100, "database": 20, "app_rounds": [100] * 3} == report["cells"][0]
    assert report["cells"][0]["requests"] == 3 * 1500
    assert report["mixed"][0]["share_of_reads"] == 0.5
    assert {tuple(goal) for goal in report["goals"]} == {("name", "goal", "measured", "unit", "met")}
    with_goal = [figure for figure in found if figure.goal is not None]
    assert [(goal["name"], goal["met"]) for goal in report["goals"]] == [(f.name, f.met) for f in with_goal]
    assert report["goals"][0]["goal"] == "<= 0.25"
    assert len(report["figures"]) == len(found)


def test_what_the_capacity_model_computes_from_is_in_a_report(tmp_path):
    found = measured()
    for work in ASSUMED.mix:
        found.cells[Cell("ours", work, 20)] = [cost(100, 20), cost(110, 30), cost(500, 500)]
    path = tmp_path / "latest.json"
    results.write(results.report(found, [], [], {}, costs_of_ours(found)), path)
    given = read(path)
    assert given.app == dict.fromkeys(ASSUMED.mix, 110)
    assert given.database == dict.fromkeys(ASSUMED.mix, 30)
    assert not [name for name in given.assumed if name.startswith(("app ", "database "))]


def test_the_plot_of_growth_has_each_size():
    told = [
        {"name": "list of 20, 10,000 tasks", "unit": "µs cpu", "measured": 300},
        {"name": "get one, 10,000,000 tasks", "unit": "µs cpu", "measured": 150},
        {"name": "list of 20: 10,000,000 tasks over 10,000", "unit": "x", "measured": 1.1},
        {"name": "list of 3,000", "unit": "µs cpu", "measured": 9000},
    ]
    assert points(told) == ({"list of 20": {10_000: 300}, "get one": {10_000_000: 150}}, {3000: 9000})


def test_the_latest_report_is_of_a_whole_run_of_this_bench():
    latest = results.read()
    assert {len(cell["app_rounds"]) for cell in latest["cells"]} == {ROUNDS}
    assert {"date", "commit"} <= set(latest["machine"])


def test_the_readme_shows_the_latest_report():
    text = README.read_text()
    assert written(text, shown(results.read())) == text


def test_a_readme_without_the_place_is_refused():
    with pytest.raises(ValueError, match="no place"):
        written("nothing", "part")
