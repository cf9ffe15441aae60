"""One rule for every test: a test that does not run is a test that fails.

Nothing is skipped and nothing is expected to fail; a bug is asserted as it is, with a FIXME that says why.
Fixtures live with the tests that use them.
"""

from __future__ import annotations

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
