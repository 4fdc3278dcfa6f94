"""The capacity model: its table in the documents is what it computes, and more users never need less."""

import json
from dataclasses import replace

import pytest

from bench.capacity import DOCUMENT, Need, pasted, smallest, table
from bench.capacity_inputs import ASSUMED, read


def test_the_document_has_the_table_that_is_computed():
    text = DOCUMENT.read_text()
    assert table(read()) in text, "renew it: .venv/bin/python -m bench.capacity --paste"
    assert pasted(text, read()) == text


def test_all_requests_are_of_some_kind():
    assert sum(ASSUMED.mix.values()) == pytest.approx(1)


@pytest.mark.parametrize("power", range(2, 9))
def test_what_is_deployed_is_enough_and_one_worker_or_node_less_is_not(power):
    need = Need(10**power, read())
    has = smallest(need)
    assert max(has.used(need).values()) <= 1
    if has.workers > 1:
        assert replace(has, workers=has.workers - 1).used(need)["application CPU"] > 1
    if has.nodes > 1:
        assert max(replace(has, nodes=has.nodes - 1).used(need).values()) > 1


def test_a_report_comes_before_what_is_assumed(tmp_path):
    report = tmp_path / "latest.json"
    report.write_text(
        json.dumps({"capacity": {"app": {"list_20": 1000}, "storage": {"bytes_per_task": 500}}})
    )
    inputs = read(report)
    assert (inputs.app["list_20"], inputs.bytes_per_task) == (1000, 500)
    assert Need(10**6, inputs).app > Need(10**6, read(tmp_path / "none.json")).app
    assert not [name for name in inputs.assumed if "list_20 = 1000" in name or "bytes_per_task" in name]
