"""`gemma-lsp stats`: what became of suggestions, from the file that the server keeps on this machine."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta

from gemma_lsp.cli import console
from gemma_lsp.features.feedback import ACCEPTED, KEPT, NAMES, OFFERED, PARTLY, REJECTED, SHOWN, TYPED, Counts, Feedback
from gemma_lsp.features.tally_file import TallyFile

_PERIODS = (("today", 1), ("7 days", 7), ("30 days", 30))
_HEADS = ("", "shown", "accepted", "in part", "typed", "rejected", "of use", "characters")


def run_stats(*, as_json: bool) -> None:
    """Prints the table, or everything as JSON."""
    file = TallyFile()
    counts = file.read()
    if as_json:
        days = {day: {name: counts[day][name] for name in NAMES} for day in sorted(counts)}
        tuning = Feedback(counts).tuning
        made_of_it = {"pauseTimes": tuning.pause, "leastChance": tuning.least_chance}
        print(json.dumps({"path": str(file.path), "days": days, "learnt": made_of_it}, indent=1))
        return
    out = console.stdout()
    if not counts:
        out.print(f"no suggestions have been counted yet; the server counts in {file.path}", soft_wrap=True)
        return
    console.print_table(out, _HEADS, rows(counts, date.today()), right=_HEADS[1:])
    out.print(f"\n{learnt(Feedback(counts))}\ncounted in {file.path}, on this machine only", soft_wrap=True)


def rows(counts: Counts, today: date) -> list[tuple[str, ...]]:
    """A line for each period, and one for all days that are kept."""
    found = []
    for name, n_days in _PERIODS:
        since = (today - timedelta(days=n_days - 1)).isoformat()
        found.append(_row(name, sum((c for day, c in counts.items() if day >= since), Counter[str]())))
    return [*found, _row(f"since {min(counts)}", sum(counts.values(), Counter[str]()))]


def learnt(feedback: Feedback) -> str:
    """What the server makes of it, in words."""
    tuning = feedback.tuning
    pause = "as your rhythm of typing says" if tuning.pause == 1 else f"{tuning.pause:g} times that"
    chance = f"; unasked, only what is at least {tuning.least_chance:.0%} sure" if tuning.least_chance else ""
    return f"the pause before a suggestion is {pause}{chance}"


def _row(name: str, total: Counter[str]) -> tuple[str, ...]:
    useful = total[ACCEPTED] + total[PARTLY] + total[TYPED]
    share = f"{useful / total[SHOWN]:.0%}" if total[SHOWN] else "-"
    fates = (str(total[fate]) for fate in (SHOWN, ACCEPTED, PARTLY, TYPED, REJECTED))
    return (name, *fates, share, f"{total[KEPT]:,} of {total[OFFERED]:,}")
