"""A history as moments at which a completion is asked for. Decides everything that needs no model; any thread.

After each commit one question is asked, where its last hunk begins; the truth is what upstream wrote there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gemma_lsp.bench.editing import Arm, Editing, Question
from gemma_lsp.bench.history import Commit, Hunk
from gemma_lsp.features.context import nearby
from gemma_lsp.features.generation import EARLY_CHARS
from gemma_lsp.prompt.completion_tails import Place, completion_tail
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.text import Span

TRUTH_CHARS = 400
ROOM = 64  # tokens kept free for the answer and the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One question and what led to it. `changed`: tokens that the commit inserted.

    `laid_out`: the old layout's prompt no longer fitted, so that a new one stands in front of the question.
    `idle`: the new or folded layout that is read after the answer, when nobody waits; () if the layout stays.
    """

    question: Question
    path: str
    changed: int
    errata: int
    laid_out: bool
    idle: Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`starts`: what is resident before the first edit; `left_out`: which commits were not asked about, and why."""

    starts: Mapping[Arm, Prompt]
    moments: tuple[Moment, ...]
    left_out: tuple[str, ...]


def script_of(editing: Editing, commits: tuple[Commit, ...], fold: bool = False) -> Script:
    """Applies every hunk in turn and asks after each commit. `fold`: then what was told is folded into the body."""
    starts = dict.fromkeys(Arm, editing.resident.whole) | {Arm.PATH_ORDER: editing.head(Arm.PATH_ORDER)}
    moments: list[Moment] = []
    left_out: list[str] = []
    for commit in commits:
        for hunk in commit.hunks:
            editing.edit(hunk.path, hunk.text, hunk.span.start)
        name = f"{commit.sha[:9]} {commit.title}"
        asked = next((h for h in reversed(commit.hunks) if h.text is not None), None)
        moment = _moment(editing, commit, asked, name, fold) if asked else None
        if moment:
            moments.append(moment)
        else:
            left_out.append(f"{name}: {'the prompt does not fit' if asked else 'files were only removed'}")
    return Script(starts=starts, moments=tuple(moments), left_out=tuple(left_out))


def _moment(editing: Editing, commit: Commit, asked: Hunk, name: str, fold: bool) -> Moment | None:
    question, laid_out = _question(editing, asked, name), False
    if not editing.fits(question, ROOM):
        editing.lay_out()
        question, laid_out = _question(editing, asked, name), True
        if not editing.fits(question, ROOM):
            return None
    errata = editing.count.total(tuple(e.segment for e in editing.resident.errata))
    due = laid_out  # the answer did not wait for what the hole stands for in the new layout
    if fold and editing.resident.foldable and editing.fold():
        due = True
    elif editing.resident.stale:
        editing.lay_out()
        due = True
    inserted = tuple(Segment(Region.BODY, hunk.inserted) for hunk in commit.hunks)
    return Moment(
        question=question,
        path=asked.path,
        changed=editing.count.total(inserted),
        errata=errata,
        laid_out=laid_out,
        idle=editing.resident.whole if due else (),
    )


def _question(editing: Editing, asked: Hunk, name: str) -> Question:
    """The cursor stands where the hunk begins; neither what it inserted nor the truth is shown behind the cursor."""
    hole, text, cursor = editing.resident.hole, asked.text, asked.span.start
    assert hole is not None
    assert text is not None
    end = max(hole.span.end, cursor)
    truth = text.slice(Span(cursor, min(end, cursor + TRUTH_CHARS)))
    place = Place(
        path=asked.path,
        before=text.slice(Span(hole.span.start, cursor)),
        after=text.slice(Span(min(end, max(asked.span.end, cursor + len(truth))), end)),
    )
    tail = completion_tail(editing.frame, place)
    before = text.slice(nearby(text, cursor, EARLY_CHARS))[: cursor - nearby(text, cursor, EARLY_CHARS).start]
    near = completion_tail(editing.frame, replace(place, before=before, after=place.after[: EARLY_CHARS // 2]))
    heads = {arm: editing.head(arm) for arm in Arm}
    return Question(
        label=name,
        heads=heads,
        tail=tail.segments,
        truth=truth,
        stop=tail.stop,
        early=(*editing.frame.head, *near.segments),
    )
