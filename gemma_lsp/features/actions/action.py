"""What an action says about itself before anybody runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a place without asking a model."""

    path: str
    language: str  # as in `ParsedFile`
    selected: bool  # something is selected
    symbol: str  # the definition around the place, or ""
    n_diagnostics: int  # reported there by anybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`id` is stable and names the command; `kind` is a code action kind of the protocol."""

    id: str
    title: str
    kind: str
    offered: Callable[[Facts], bool]
