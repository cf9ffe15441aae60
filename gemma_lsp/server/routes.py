"""How a method is served: its handler, its lane and how long the client may wait. The table itself is `lanes`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Lane(StrEnum):
    """What a handler may do. Every handler starts on the event loop in the order in which messages came.

    MUTATE changes what the session knows and READ answers from it, both at once and without IO.
    ENGINE and BACKGROUND take what they need from the current state at once, too, and return an awaitable that asks
    the model; the awaitable can be cancelled. BACKGROUND is what nobody waits for at the keyboard.
    """

    MUTATE = "mutate"
    READ = "read"
    ENGINE = "engine"
    BACKGROUND = "background"


Handler = Callable[[Any, Any], Any | Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table. After `deadline_s` a request is answered by an error; None: as long as it takes."""

    handler: Handler
    lane: Lane
    deadline_s: float | None = None


Routes = Mapping[str, Route]
