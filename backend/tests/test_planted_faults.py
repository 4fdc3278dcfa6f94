"""The audit catches what it is for."""

import pytest

from tests.audit import Report, Scale, audit
from tests.planted_faults import CRASH_FAULTS, FAULTS, Edit, Fault, plant
from tests.servers import Commands
from tests.test_audit import serving

#: A fault that needs an unlucky moment gets so many histories to show in; each ends with the first sign.
HISTORIES = 15


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_planted_fault_is_caught(fault: Fault, tmp_path, make_database):
    commands = Commands(tmp_path, covered=False)
    plant(fault, tmp_path)
    reports: list[Report] = []
    with serving(commands, tmp_path, await make_database()) as ports:
        while len(reports) < HISTORIES and not any(report.violations for report in reports):
            reports.append(await audit(ports, Scale(seconds=4), len(reports)))
    writes = sum(sum(report.attempts.values()) for report in reports)
    by = sorted({check for check, _ in reports[-1].violations})
    print(f"{fault.name}: caught by {by} in history {len(reports)}, after {writes} writes")  # noqa: T201
    assert not any(status >= 500 for report in reports for status in report.statuses), (
        "it only breaks the service"
    )
    assert by, "\n".join(map(str, reports))


@pytest.mark.parametrize("fault", [*FAULTS, *CRASH_FAULTS], ids=lambda fault: fault.name)
def test_a_fault_still_fits(fault: Fault, tmp_path):
    Commands(tmp_path)
    plant(fault, tmp_path)


def test_a_fault_that_no_longer_fits_is_not_passed_over(tmp_path):
    Commands(tmp_path)
    with pytest.raises(LookupError):
        plant(Fault("outdated", [Edit("main.py", "what is not there", "")]), tmp_path)
