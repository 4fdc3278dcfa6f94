"""What is in deploy/, as it stands: alerts that say what to do, a dashboard that Grafana can lay out."""

import re

import pytest

from tests.dashboard import dashboard, panels, queries
from tests.watching import DEPLOY, HAPROXY_RULES, rules

ALERTS = [rule for rule in rules() + rules(HAPROXY_RULES) if rule.alert]
RUNBOOK = DEPLOY.parent / "docs/alerts.md"

#: The plan's table of performance targets, and the panels that draw their bounds.
TARGETS = {
    "Read latency (p95) <200ms": "Reads",
    "Write latency (p95) <500ms": "Writes",
    "Token validation <50ms": "Duration of a token check",
    "Health check <100ms": "/health",
    "Concurrent users 100": "Requests at once",
}
FAILURES = {"TasksFailing": "Failing", "TasksPoolExhausted": "Wait for a connection"}

each_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
each_panel = pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])


def test_each_target_of_the_plan_has_its_alert():
    targets = [rule.alert["annotations"].get("target") for rule in ALERTS if rule.alert]
    assert [target for target in targets if target] == list(TARGETS)


@each_alert
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(rule):
    assert rule.alert["labels"]["severity"] in {"warning", "critical"}
    assert rule.alert["for"]
    assert {"summary", "description", "runbook_url"} <= rule.alert["annotations"].keys()
    assert rule.alert["annotations"]["runbook_url"] == f"docs/alerts.md#{rule.name.lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other():
    assert re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == [rule.name for rule in ALERTS]


@each_alert
def test_an_alert_waits_for_longer_than_it_looks_back(rule):
    """So that no single request can set it off, but where a single one is one too many."""
    if rule.name == "TasksUnexpectedError":
        return
    used = [rule, *(other for other in rules() if other.name in rule.expression)]
    windows = [int(minutes) for one in used for minutes in re.findall(r"\[(\d+)m\]", one.expression)]
    assert int(rule.alert["for"].removesuffix("m")) >= max(windows, default=0)


def test_the_dashboard_draws_the_bounds_of_the_alerts():
    drawn = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1] for panel in panels()
    }
    for rule in ALERTS:
        assert rule.alert
        title = TARGETS.get(rule.alert["annotations"].get("target"), FAILURES.get(rule.name))
        if title:
            (bound,) = re.findall(r"> ([\d.]+)\n", rule.expression)
            assert drawn[title] == {"color": "red", "value": float(bound)}, rule.name


def test_the_panels_have_their_own_place():
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


@each_panel
def test_a_panel_explains_itself_and_asks_the_prometheus_that_was_chosen(panel):
    assert panel["description"].endswith(".")
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert {source["uid"] for source in sources} == {"${datasource}"}


def test_the_variables_of_the_queries_are_those_of_the_dashboard():
    names = {f"${variable['name']}" for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\w+", str([panel["targets"] for panel in panels()])))
    assert used == names - {"$datasource"}
    assert len(queries()) > len(panels())
