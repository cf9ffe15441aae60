"""What an action says about itself before anybody runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What running an action gives."""

    WORDS = "words"
    EDIT = "edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a place without asking a model."""

    path: str
    language: str  # as in `ParsedFile`
    selected: bool  # something is selected
    symbol: str  # the definition around the place, or ""
    n_diagnostics: int  # reported there by anybody
    function: bool = False  # the definition is a function or method
    test: bool = False  # the file holds tests
    documented: bool = False  # the definition has a docstring
    stub: bool = False  # its body says nothing yet: a docstring, `pass`, `...` or NotImplementedError
    annotated: bool = False  # all of its parameters and its result are
    documentable: bool = True  # it has a place for a docstring
    workable: bool = True  # it, or what is selected, is short enough to be written again as a whole
    apart: bool = True  # its body has lines of its own
    alone: bool = True  # nothing stands behind the signature on its line
    overload: bool = False  # it is one signature of several

    @property
    def definition(self) -> bool:
        """Whether there is a function that an action can work on as a whole."""
        return self.function and self.workable


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`id` is stable; `kind` is a code action kind of the protocol; `command` runs it, without our prefix."""

    id: str
    title: str
    kind: str
    answer: Answer
    command: str
    offered: Callable[[Facts], bool]
    title_for: Callable[[Facts], str] | None = None  # where the title depends on the place

    def titled(self, facts: Facts) -> str:
        """The title at a place."""
        return self.title_for(facts) if self.title_for is not None else self.title
