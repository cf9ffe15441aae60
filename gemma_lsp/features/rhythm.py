"""How fast the user types, and so how long a pause must be before it is one. Event loop only; nothing is kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

_BREAK_S = 1.0  # a longer gap is not one between two keys of the same thought
_KEYS = 32  # gaps that count
_LEAST = 8  # gaps until a rhythm can be told
_SHARE = 0.6  # of the usual gap: a key that has not come by then is probably late; guessed
_BOUNDS = (0.5, 3.0)  # times the setting


class Rhythm:
    """The gaps between the last keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._gaps: deque[float] = deque(maxlen=_KEYS)
        self._last: float | None = None

    def key(self) -> None:
        """A key was typed."""
        now = self._clock()
        if self._last is not None and now - self._last < _BREAK_S:
            self._gaps.append(now - self._last)
        self._last = now

    def pause_ms(self, setting: int) -> float:
        """Milliseconds of quiet to wait for: the setting until the rhythm is known, then within bounds around it."""
        if len(self._gaps) < _LEAST:
            return setting
        low, high = (bound * setting for bound in _BOUNDS)
        return min(max(1000 * _SHARE * median(self._gaps), low), high)
