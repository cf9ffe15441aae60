"""What a run costs, while it runs. The engine's thread only."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gemma_lsp.engine.messages import Cost

BATCHES = 8  # of which the speed is told


@dataclass(slots=True)
class Spent:
    """Tokens, and moments of the monotonic clock in seconds; 0.0 for what has not come yet."""

    received: float = field(default_factory=time.monotonic)
    started: float = 0.0
    prompted: float = 0.0
    first: float = 0.0
    reused: int = 0
    restored: int = 0
    hidden: int = 0
    by_region: dict[str, int] = field(default_factory=dict)
    exact: bool = True
    guessed: int = 0
    true: int = 0
    _batches: list[tuple[float, int]] = field(default_factory=list)

    def evaluated(self, n: int) -> float:
        """A batch of `n` tokens is done; tokens a second of the last ones."""
        now = time.monotonic()
        self._batches = [*self._batches[1 - BATCHES :], (now, n)]
        since = self._batches[0][0] if len(self._batches) > 1 else self.started
        total = sum(k for _, k in self._batches[1:]) or n
        return total / max(1e-6, now - since)

    def cost(self, *, prompt: int, generated: int, early: bool) -> Cost:
        """The cost until now, of a run with so many tokens."""
        now = time.monotonic()
        prompted = self.prompted or now
        return Cost(
            prompt=prompt,
            reused=self.reused,
            restored=min(self.restored, self.reused),
            evaluated=sum(self.by_region.values()),
            evaluated_by_region=dict(self.by_region),
            hidden=self.hidden,
            generated=generated,
            guessed=self.guessed,
            guessed_right=self.true,
            exact=self.exact,
            early=early,
            queued_ms=((self.started or now) - self.received) * 1000,
            prompt_ms=(prompted - self.started) * 1000 if self.started else 0.0,
            first_token_ms=((self.first or now) - self.received) * 1000,
            total_ms=(now - self.received) * 1000,
        )
