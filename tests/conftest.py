"""Two rules for every test.

A test that does not run is a test that fails: nothing is skipped and nothing is expected to fail.
What the server sends is of the official meta model, whatever the test is about and whichever client it sends it to.
Fixtures live with the tests that use them.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

_RULE = "no test is skipped or expected to fail here: make it run, or assert what happens now ({})"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip, an xfail and an xpass into a failure."""
    report = yield
    _fail_if_not_run(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns the skip of a whole module (`importorskip`) into a failure."""
    report = yield
    _fail_if_not_run(report)
    return report


def _fail_if_not_run(report: pytest.TestReport | pytest.CollectReport) -> None:
    expected_to_fail = getattr(report, "wasxfail", None)
    if report.outcome != "skipped" and expected_to_fail is None:
        return
    reason = expected_to_fail or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "unexpected pass")
    if expected_to_fail is not None:
        del report.wasxfail
    report.outcome = "failed"
    report.longrepr = _RULE.format(reason)


_CHECKS_ITSELF = "test_traffic.py"  # tests the check by what is wrong


@pytest.fixture(autouse=True)
def _every_message_is_of_the_meta_model(request: pytest.FixtureRequest) -> Generator[None]:
    """Of every test that talks to a server: by a raw client, or by another one through tests/support/tee.py."""
    if request.path.name == _CHECKS_ITSELF or not {"tests.support.raw_client", "tests.e2e.server"} & sys.modules.keys():
        yield
        return
    from tests.protocol.traffic import Traffic, recorded_complaints

    with pytest.MonkeyPatch.context() as patch:
        traffic = Traffic(patch)
        yield
    complaints = traffic.complaints
    if "tests.e2e.server" in sys.modules:
        complaints += recorded_complaints(sys.modules["tests.e2e.server"].RECORDS)
    assert complaints == []
