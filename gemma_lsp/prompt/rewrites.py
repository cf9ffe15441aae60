"""The end of a prompt that asks for code: a definition corrected, simplified, documented, tested.

A chat model answers with one fenced block; a base model continues a document that shows the code before and after.
What becomes of the answer is the feature's. Pure; any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemma_lsp.prompt.frame import Frame
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.prompt.tails import NO_EVIDENCE, Evidence, RequestTail, Selection, evidence_parts

_FENCE = "```"
_FENCE_LINE = re.compile(r" {0,3}(`{3,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An answer that could not be used, and why."""

    code: str
    complaint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What is asked for.

    `instruction` is for a chat model. `before` and `after` are the headings around the code in a document.
    `opening` is the start of the code that is certain; `stop` where the code ends besides at its fence. `several`: more
    definitions may follow the one that it opens.
    """

    selection: Selection
    instruction: str
    before: str
    after: str
    opening: str = ""
    stop: tuple[str, ...] = ()
    several: bool = False
    evidence: Evidence = NO_EVIDENCE
    failed: Attempt | None = None


def rewrite_tail(frame: Frame, rewrite: Rewrite, *, thinking: bool) -> RequestTail:
    """Asks for code. A model that may think chooses its own first words; every other one is inside a fence already."""
    return _chat(frame, rewrite, thinking=thinking) if frame.chat else _document(rewrite)


def _chat(frame: Frame, rewrite: Rewrite, *, thinking: bool) -> RequestTail:
    code = "".join(line + "\n" for line in rewrite.selection.lines)
    fence = _fence(rewrite)
    parts = [f"{rewrite.before}, {rewrite.selection.where}:\n\n{fence}python\n{code}{fence}\n"]
    parts += [*evidence_parts(rewrite.evidence), rewrite.instruction]
    if rewrite.failed is not None:
        failed = rewrite.failed
        parts.append(f"\nThis answer cannot be used, because {failed.complaint}:\n\n{_fenced(failed.code, fence)}")
    opener = "" if thinking else f"{fence}python\n{rewrite.opening}"
    request = Segment(Region.REQUEST, frame.request_open + "\n".join(parts))
    closing = frame.close(thinking=thinking, prefill=opener)
    stop = () if thinking else (f"\n{fence}", *rewrite.stop)
    return RequestTail(segments=(request, *closing), opener=opener, stop=stop)


def _document(rewrite: Rewrite) -> RequestTail:
    selection = rewrite.selection
    code = "".join(line + "\n" for line in selection.lines)
    notes = "".join(f"- {line}\n" for line in rewrite.evidence.reported)
    if rewrite.evidence.traceback:
        notes += f"\n{_FENCE}text\n{rewrite.evidence.traceback}\n{_FENCE}\n"
    if rewrite.failed is not None:
        notes += f"- wrong: {rewrite.failed.complaint}\n"
    name = selection.symbol or selection.path
    fence = _fence(rewrite)
    opener = f"{fence}python\n{rewrite.opening}"
    text = (
        f"\n# {name} in {selection.path}\n\n{rewrite.before}:\n\n{fence}python\n{code}{fence}\n\n"
        f"{notes}{notes and chr(10)}{rewrite.after}:\n\n"
    )
    segments: Prompt = (Segment(Region.REQUEST, text), Segment(Region.REQUEST, opener))
    return RequestTail(segments=segments, opener=opener, stop=(f"\n{fence}", *rewrite.stop))


def _fence(rewrite: Rewrite) -> str:
    """A fence that no line of the code ends: it is how an answer ends, too."""
    lines = (*rewrite.selection.lines, *rewrite.opening.split("\n"))
    longest = max((len(found[1]) for line in lines if (found := _FENCE_LINE.match(line))), default=0)
    return "`" * max(len(_FENCE), longest + 1 if longest else 0)


def _fenced(code: str, fence: str) -> str:
    return f"{fence}python\n{code.rstrip()}\n{fence}\n"
