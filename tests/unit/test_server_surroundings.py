"""What the machine and the installation are like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil
import pytest

from gemma_lsp.features.diagnostics import CODE
from gemma_lsp.server.surroundings import documentation, on_battery


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        (None, False),
        (SimpleNamespace(power_plugged=True), False),
        (SimpleNamespace(power_plugged=None), False),
        (SimpleNamespace(power_plugged=False), True),
    ],
)
def test_on_battery(monkeypatch: pytest.MonkeyPatch, battery: Any, expected: bool) -> None:
    """A machine without one, or one that does not say, is not."""
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert on_battery() is expected


def test_a_platform_that_knows_no_batteries(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil leaves the function out there."""
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    assert on_battery() is False


def test_the_code_of_a_finding_is_documented() -> None:
    """By a file that is there, under a heading of that name."""
    url = documentation(CODE)
    assert url is not None
    parts = urlsplit(url)
    with open(url2pathname(parts.path), encoding="utf-8") as file:
        assert f"\n## {parts.fragment}\n" in file.read()
