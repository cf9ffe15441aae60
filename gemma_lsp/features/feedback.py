"""What becomes of suggestions: taken, taken in part, typed, or not wanted. Counts alone; no text is kept.

It is seen from the edits that follow, so it works in every editor and needs no message of its own: text that arrives in
one piece and is what was shown was accepted. Event loop only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from gemma_lsp.features.memory import Origin

SEEN_S = 0.3  # on the screen for less, a suggestion was not read; guessed
SHOWN, ACCEPTED, PARTLY, TYPED, REJECTED = "shown", "accepted", "partly", "typed", "rejected"
OFFERED, KEPT = "offered_characters", "kept_characters"
NAMES = (SHOWN, ACCEPTED, PARTLY, TYPED, REJECTED, OFFERED, KEPT)
"""What is counted for each day. `shown` is the sum of the four fates."""

Counts = dict[str, Counter[str]]
"""By day (ISO) and name."""

_ENOUGH = 40  # suggestions until a share means something
_DAYS = 14  # that count for it


@dataclass(frozen=True, slots=True)
class Tuning:
    """What follows from it: times the pause before asking, and how probable a first token must be unasked."""

    pause: float
    least_chance: float


_STEPS = (
    (0.10, Tuning(1.5, 0.25)),  # share of suggestions that were of use, below which
    (0.20, Tuning(1.2, 0.10)),
    (0.50, Tuning(1.0, 0.0)),
)
_WELCOME, _NEUTRAL = Tuning(0.8, 0.0), Tuning(1.0, 0.0)


class Feedback:
    """The counts of one person, over all workspaces. `new`: what is not written down yet."""

    def __init__(self, known: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._known: Counts = {day: Counter(counts) for day, counts in (known or {}).items()}
        self.new: Counts = {}

    def count(self, fate: str, offered: int, kept: int, day: str = "") -> None:
        """One suggestion of `offered` characters, of which `kept` were accepted."""
        today = day or date.today().isoformat()
        more = Counter({SHOWN: 1, fate: 1, OFFERED: offered, KEPT: kept})
        for counts in (self._known, self.new):
            counts.setdefault(today, Counter()).update(more)

    def take_new(self) -> Counts:
        """What is to be written down; it counts as written."""
        taken, self.new = self.new, {}
        return taken

    @property
    def tuning(self) -> Tuning:
        """Mild, and none at all until there is something to learn from."""
        days = sorted(self._known)[-_DAYS:]
        total = sum((self._known[day] for day in days), Counter[str]())
        if total[SHOWN] < _ENOUGH:
            return _NEUTRAL
        useful = (total[ACCEPTED] + total[PARTLY] + total[TYPED]) / total[SHOWN]
        return next((tuning for share, tuning in _STEPS if useful < share), _WELCOME)


@dataclass(slots=True)
class _Offer:
    origin: Origin
    texts: tuple[str, ...]  # to choose from
    text: str  # the one that it looks like
    since: float
    there: int = 0  # characters of it that stand in the file
    kept: int = 0  # of these, those that came in pieces


class Offers:
    """The suggestion that is on the screen of each file."""

    def __init__(self, feedback: Feedback, clock: Callable[[], float] = time.monotonic) -> None:
        self.feedback = feedback
        self._clock = clock
        self._offers: dict[str, _Offer] = {}

    def show(self, origin: Origin, texts: Sequence[str]) -> None:
        """These are offered now, the best first. What is left of the same suggestion is no new one."""
        old = self._offers.get(origin.path)
        if old is not None:
            typed = old.origin.typed_to(origin)
            if typed is not None and typed + texts[0] == old.text:
                return
            if typed != "":  # a later answer for the same place only takes the earlier one's
                self.gone(origin.path)
        self._offers[origin.path] = _Offer(origin, tuple(texts), texts[0], self._clock())

    def edited(self, path: str, content: str) -> None:
        """The file reads like this now."""
        offer = self._offers.get(path)
        if offer is None:
            return
        there = offer.origin.inserted(content)
        fits = [t for t in offer.texts if there is not None and (t.startswith(there) or there.startswith(t))]
        if there is None or not fits:
            self.gone(path)
            return
        offer.text = max(fits, key=lambda text: min(len(text), len(there)))
        grown = min(len(there), len(offer.text)) - offer.there
        offer.there += grown
        offer.kept = max(0, offer.kept + grown) if grown > 1 or grown < 0 else offer.kept
        if offer.there == len(offer.text):
            del self._offers[path]
            fate = TYPED if not offer.kept else ACCEPTED if grown > 1 else PARTLY
            self.feedback.count(fate, len(offer.text), offer.kept)

    def gone(self, path: str) -> None:
        """It is not offered any more."""
        offer = self._offers.pop(path, None)
        if offer is None:
            return
        if offer.kept:
            self.feedback.count(PARTLY, len(offer.text), offer.kept)
        elif self._clock() - offer.since >= SEEN_S:
            self.feedback.count(REJECTED, len(offer.text), 0)


@dataclass(slots=True)
class Tally:
    """What completions cost since the start: how many were answered how, and what the model was asked."""

    answers: Counter[str] = field(default_factory=Counter)
    asked: int = 0  # model calls that somebody waited for
    ahead: int = 0  # and those nobody did
    running: int = 0  # of both, at the moment
    evaluated: int = 0
    generated: int = 0
    guessed: int = 0
    guessed_right: int = 0

    def to_json(self) -> dict[str, object]:
        """For `gemma-lsp/status`; docs/protocol.md lists the members."""
        return {
            "answers": {_camel(reason): n for reason, n in sorted(self.answers.items())},
            "asked": self.asked,
            "askedAhead": self.ahead,
            "running": self.running,
            "evaluated": self.evaluated,
            "generated": self.generated,
            "guessed": self.guessed,
            "guessedRight": self.guessed_right,
        }


def _camel(reason: str) -> str:
    first, *more = reason.split()
    return "".join((first, *(word.capitalize() for word in more)))
