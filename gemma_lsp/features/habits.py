"""What is known of the person who types, for all workspaces of a session. Event loop only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gemma_lsp.config.schema import CompletionSettings
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.feedback import Feedback, Offers, Tally
from gemma_lsp.features.rhythm import Rhythm

LEAST_READ = 64  # tokens; what less took says little about how fast a prompt is read
SAME_SPEED = 1.5  # times faster or slower is still as fast as usual; guessed
PROSE_CHANCE = 0.2  # of the first token, below which nothing is said in a string or a comment unasked; guessed


class Habits:
    """Rhythm, feedback and costs. Without a known feedback it begins anew, and nothing is ever read or written here."""

    def __init__(self, feedback: Feedback | None = None) -> None:
        self.rhythm = Rhythm()
        self.feedback = feedback or Feedback()
        self.tally = Tally()
        self.tokens_per_s: float | None = None  # at which prompts were read lately; None: not known yet
        self.usual_tokens_per_s: float | None = None  # the same for what would be read anew if it were another

    def offers(self) -> Offers:
        """What is on the screen in one workspace."""
        return Offers(self.feedback)

    def pause_s(self, settings: CompletionSettings) -> float:
        """How long to wait for another key before the model is asked."""
        if not settings.adaptive:
            return settings.debounce_ms / 1000
        return self.rhythm.pause_ms(settings.debounce_ms) * self.feedback.tuning.pause / 1000

    def least_chance(self, settings: CompletionSettings, *, in_prose: bool) -> float:
        """How probable the first token of a suggestion must be that nobody asked for."""
        learnt = self.feedback.tuning.least_chance if settings.adaptive else 0.0
        return max(learnt, PROSE_CHANCE if in_prose else 0.0)

    def asked(self, *, ahead: bool) -> None:
        """The model is asked."""
        self.tally.asked, self.tally.ahead = self.tally.asked + (not ahead), self.tally.ahead + ahead

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While the model is asked, or something is prepared for."""
        self.tally.running += 1
        try:
            yield
        finally:
            self.tally.running -= 1

    def paid(self, cost: Cost, *, ahead: bool = False) -> None:
        """The model has answered. What is prepared waits for all else: its time says nothing of the speed."""
        if not ahead and cost.evaluated >= LEAST_READ and cost.prompt_ms > 0:
            now = 1000 * cost.evaluated / cost.prompt_ms
            self.tokens_per_s = now if self.tokens_per_s is None else (self.tokens_per_s + now) / 2
            usual = self.usual_tokens_per_s
            if usual is None or not usual / SAME_SPEED < self.tokens_per_s < usual * SAME_SPEED:
                self.usual_tokens_per_s = self.tokens_per_s
        tally = self.tally
        tally.evaluated += cost.evaluated
        tally.generated += cost.generated
        tally.guessed += cost.guessed
        tally.guessed_right += cost.guessed_right
