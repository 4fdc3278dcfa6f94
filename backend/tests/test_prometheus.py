"""The rules and the dashboard of deploy/ on a real Prometheus, which scrapes two workers under load."""

import asyncio
import json
import math
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import SECRET
from tests.dashboard import dashboard, queries, selected
from tests.live import listening, token
from tests.servers import Commands, wait_for
from tests.traffic import Kind, one_write_that_fails, traffic
from tests.watching import (
    HAPROXY_RULES,
    METRICS_TOKEN,
    RULES,
    Prometheus,
    configured,
    program,
    prometheus,
    rules,
)

pytestmark = pytest.mark.prometheus

REQUESTS = "tasks_http_request_duration_seconds"
STREAMS = 3
#: What Prometheus adds to what the service says.
OWN_LABELS = {"job", "instance"}
#: More than a scrape takes on a busy machine.
SCRAPE_SECONDS = 20


@dataclass
class Watched:
    """What Prometheus has seen, beside what was done."""

    prometheus: Prometheus
    exposed: str
    sent: list[Counter[Kind]]
    seen: list[Counter[Kind]]
    streams: float | None
    by_worker: list[float]


def totals(watching: Prometheus) -> Counter[Kind]:
    ours = f'{REQUESTS}_count{{route=~"/tasks.*|/health", route!="/tasks/events"}}'
    found = watching.query(f"sum by (method, route, status) ({ours})")
    return Counter(
        {
            (one["metric"]["method"], one["metric"]["route"], one["metric"]["status"]): int(one["value"][1])
            for one in found
        }
    )


def by_worker(folder: Path) -> list[float]:
    """Count the requests of each worker process: they are put together only when somebody asks."""
    return [
        sum(
            value
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(file))
            if json.loads(key)[1] == f"{REQUESTS}_bucket"
        )
        for file in folder.glob("*/histogram_*.db")
    ]


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> AsyncIterator[Watched]:
    """Two workers, used twice: what is counted for the first time has not grown yet."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "counts").mkdir()
    (folder / "checkout").mkdir()
    commands = Commands(folder / "checkout", covered=False)
    settings = {"database_url": database_url, "better_auth_secret": SECRET, "database_timeout": 1}
    own = {"metrics_token": METRICS_TOKEN, "prometheus_multiproc_dir": folder / "counts", "workers": 2}
    with commands.start("tasks-api", "serve", data_dir=folder / "data", **settings, **own) as service:
        service.started(workers=2)
        with prometheus(folder / "prometheus", service.url.removeprefix("http://")) as watching:
            async with AsyncExitStack() as stack:
                for number in range(STREAMS):
                    await stack.enter_async_context(listening(service.url, token(f"listener {number}")))
                sent: list[Counter[Kind]] = []
                seen: list[Counter[Kind]] = []
                for callers, rounds in ((4, 1), (24, 5)):
                    both = await asyncio.gather(
                        traffic(service.url, callers=callers, rounds=rounds),
                        one_write_that_fails(service.url, database_url),
                    )
                    sent.append(sum(both, sent[-1] if sent else Counter()))
                    wait_for(lambda: totals(watching) == sent[-1], SCRAPE_SECONDS)
                    seen.append(totals(watching))
                streams = watching.value("sum(tasks_event_streams)")
            headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
            exposed = httpx.get(f"{service.url}/metrics", headers=headers).raise_for_status().text
            yield Watched(watching, exposed, sent, seen, streams, by_worker(folder / "counts"))


# promtool


def promtool(*arguments: str | Path) -> str:
    run = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_rules_and_the_configuration_are_right(tmp_path: Path):
    assert f"{len(rules())} rules found" in promtool(
        "check", "config", configured(tmp_path / "p", "a:80", 15)
    )


@pytest.mark.parametrize("file", [RULES, HAPROXY_RULES], ids=lambda file: file.stem)
def test_each_alert_fires_when_it_should_and_only_then(file):
    tests = file.with_name(f"{file.stem}_test.yml")
    assert "SUCCESS" in promtool("test", "rules", tests)
    names = re.findall(r"alertname: (\w+)\n(?: +.*\n)?? +exp_alerts", tests.read_text())
    silent = set(re.findall(r"alertname: (\w+)", tests.read_text()))
    alerts = {rule.name for rule in rules(file) if rule.alert}
    assert set(names) | silent == alerts
    assert set(names) == alerts


# What two workers counted


def test_no_request_of_any_worker_is_lost_or_counted_twice(watched):
    assert watched.seen == watched.sent
    assert watched.sent[1].total() - watched.sent[0].total() > 1000
    assert {status for _, _, status in watched.sent[1]} == {"2xx", "3xx", "4xx", "5xx"}


def test_both_workers_had_a_share(watched):
    assert len(watched.by_worker) == 2
    assert min(watched.by_worker) > 0


def test_open_streams_are_counted(watched):
    assert watched.streams == STREAMS


# The queries


@pytest.mark.parametrize("query", queries(), ids=lambda query: f"{query.panel} {query.legend}")
def test_a_query_of_the_dashboard_finds_what_was_done(watched, query):
    found = watched.prometheus.query(query.expression)
    assert found or query.panel == "Firing alerts"
    for series in found:
        assert math.isfinite(float(series["value"][1])), series
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= series["metric"].keys()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_rule_has_a_figure_to_look_at(watched, rule):
    names = [rule.as_figure] if rule.alert else [rule.as_figure, rule.name]
    for name in names:
        (figure,) = watched.prometheus.query(name)
        assert math.isfinite(float(figure["value"][1])), rule.name


# The names


def test_what_is_asked_for_is_what_the_service_shows(watched):
    families = list(text_string_to_metric_families(watched.exposed))
    samples = [sample for family in families for sample in family.samples]
    labels = {sample.name: set[str]() for sample in samples}
    for sample in samples:
        labels[sample.name] |= sample.labels.keys()
    variables = [
        variable["definition"] for variable in dashboard()["templating"]["list"] if "definition" in variable
    ]
    shown = [query.expression for query in queries()]
    asked = [*shown, *variables, *(rule.expression for rule in rules())]
    for name, wanted in {found for expression in asked for found in selected(expression)}:
        assert name in labels
        assert wanted <= labels[name] | OWN_LABELS, name
    drawn = {name for expression in shown for name, _ in selected(expression)}
    own = [family for family in families if family.name.startswith("tasks_")]
    assert len(own) == 15
    for family in own:
        assert drawn & {sample.name for sample in family.samples}, family.name


def test_the_bounds_are_bounds_of_buckets(watched):
    """Otherwise a p95 could be over one only because of how it is interpolated."""
    for name, bounds in {
        REQUESTS: {0.1, 0.2, 0.5},
        "tasks_token_verification_duration_seconds": {0.05},
        "tasks_database_pool_wait_seconds": {0.05},
    }.items():
        found = re.findall(rf'^{name}_bucket\{{.*?le="(.*?)"', watched.exposed, re.MULTILINE)
        assert bounds <= {float(bound) for bound in found}, name
