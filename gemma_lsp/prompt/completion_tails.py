"""The end of a completion's prompt: the code around the cursor, in the form that the model's kind was trained on.

Fill-in-the-middle tokens, a chat template, or neither (a document that the model continues). Deliberately not here:
what becomes of the answer (generate). Pure; any thread. What each form was chosen for: docs/design/completion.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gemma_lsp.prompt.frame import FILE_MARK, Frame, file_header
from gemma_lsp.prompt.segments import Prompt, Region, Segment

SUFFIX_CHARS = 1500  # about 500 tokens; read again for each line by models that are shown what follows; guessed
SUFFIX_LINES = 30
FIM_KINDS = ("prefix", "suffix", "middle")

_FENCE = "```"
_NEXT_FILE = "\n" + FILE_MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The text around a cursor as far as the tail gives it: `before` starts with a line, `after` ends with one."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionTail:
    """What follows the head. `heal`: the cursor may stand inside a token. `stop`: where the model leaves the code."""

    segments: Prompt
    heal: bool
    stop: tuple[str, ...]


def completion_tail(frame: Frame, place: Place, *, suffix_first: bool = False) -> CompletionTail:
    """The tail of a completion. Typing changes only the end of one segment: what stands before stays as it is.

    `suffix_first`: the model fills gaps, and was trained on suffix, prefix, middle (SPM) instead of prefix first (PSM).
    """
    if fills(frame):
        return _fim_tail(frame, place, suffix_first=suffix_first)
    return _chat_tail(frame, place) if frame.chat else _plain_tail(place)


def completion_prompt(frame: Frame, read: Prompt, place: Place, *, suffix_first: bool = False) -> CompletionTail:
    """The whole prompt as one: the frame, what is read before the code at the cursor, the tail.

    A model that fills gaps does it best with nothing before the gap; where there is nothing to read it gets that.
    """
    tail = completion_tail(frame, place, suffix_first=suffix_first)
    if fills(frame) and not read:
        first = frame.fim["suffix" if suffix_first else "prefix"]
        gap = next(i for i, s in enumerate(tail.segments) if s.special and s.text == first)
        return replace(tail, segments=tail.segments[gap:])
    return replace(tail, segments=(*frame.head, *read, *tail.segments))


def fills(frame: Frame) -> bool:
    """Whether the model was trained to write what stands between two texts, and to end where the second begins."""
    return all(frame.fim.get(kind) for kind in FIM_KINDS)


def hole_tail(path: str, text: str) -> Prompt:
    """The text that was taken out of the body, as every request must give it back."""
    if not text:
        return ()
    return (Segment(Region.HOLE, file_header(path)), Segment(Region.HOLE, text if text.endswith("\n") else text + "\n"))


def _fim_tail(frame: Frame, place: Place, *, suffix_first: bool) -> CompletionTail:
    """Prefix and suffix, then the middle; what stands on the cursor's line is the middle's beginning.

    So a key appends to the prompt, as for other models, and the suffix is read once a line; once a place where it is
    the first.
    """
    separator = frame.fim.get("separator", "")
    header = (
        (Segment(Region.HOLE, separator, special=True), Segment(Region.HOLE, place.path + "\n"))
        if separator
        else (Segment(Region.HOLE, file_header(place.path)),)
    )
    above, newline, line = place.before.rpartition("\n")
    prefix = (Segment(Region.HOLE, frame.fim["prefix"], special=True), Segment(Region.HOLE, above + newline))
    region = Region.HOLE if suffix_first else Region.REQUEST
    suffix = (Segment(region, frame.fim["suffix"], special=True), Segment(region, _clipped(place.after)))
    segments = (
        *header,
        *((*suffix, *prefix) if suffix_first else (*prefix, *suffix)),
        Segment(Region.REQUEST, frame.fim["middle"], special=True),
        Segment(Region.REQUEST, line),
    )
    return CompletionTail(segments=_filled(segments), heal=bool(line), stop=(_NEXT_FILE,))


def _plain_tail(place: Place) -> CompletionTail:
    """The file up to the cursor. The suffix stays out: a base model that has just read it writes it again."""
    segments = (Segment(Region.HOLE, file_header(place.path)), Segment(Region.HOLE, place.before))
    return CompletionTail(segments=_filled(segments), heal=_may_heal(place.before), stop=(_NEXT_FILE,))


def _chat_tail(frame: Frame, place: Place) -> CompletionTail:
    """First what follows the cursor's line, which typing does not change; then an answer begun with the code so far."""
    _, _, below = place.after.partition("\n")
    below = _clipped(below).strip("\n")
    rest = f"Further down the file goes on like this:\n\n{_FENCE}python\n{below}\n{_FENCE}\n\n" if below.strip() else ""
    text = f"{frame.request_open}{rest}Continue the code of {place.path}. Write nothing that stands further down.\n"
    segments = (
        Segment(Region.REQUEST, text),
        *frame.close(thinking=False, prefill=f"{_FENCE}python\n{place.before}"),
    )
    return CompletionTail(segments=segments, heal=_may_heal(place.before), stop=("\n" + _FENCE, _NEXT_FILE))


def _may_heal(before: str) -> bool:
    """Whether the last token may be one that goes on: always, but right after a line end."""
    return bool(before) and not before.endswith("\n")


def _clipped(after: str) -> str:
    """The start of what follows the cursor, cut at a line."""
    lines = after[:SUFFIX_CHARS].split("\n")
    if len(after) > SUFFIX_CHARS and len(lines) > 1:
        lines.pop()
    return "\n".join(lines[:SUFFIX_LINES])


def _filled(segments: Sequence[Segment]) -> Prompt:
    return tuple(segment for segment in segments if segment.text)
