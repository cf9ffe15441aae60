"""What the machine and the installation are like."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
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


def test_what_the_wheel_takes_along_of_the_documentation_links_to_nothing_else() -> None:
    """In an installation there is no clone beside it."""
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    taken = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert "docs/diagnostics.md" in taken
    for source, target in taken.items():
        assert target == f"gemma_lsp/{source}"  # so that relative links hold
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", (root / source).read_text("utf-8")):
            if "://" not in link:
                linked = (root / source).parent.joinpath(link).resolve().relative_to(root).as_posix()
                assert linked in taken, f"{source} links to {linked}"


def test_the_code_of_a_finding_is_documented() -> None:
    """By a file that is there, under a heading of that name."""
    url = documentation(CODE)
    assert url is not None
    parts = urlsplit(url)
    with open(url2pathname(parts.path), encoding="utf-8") as file:
        assert f"\n## {parts.fragment}\n" in file.read()
