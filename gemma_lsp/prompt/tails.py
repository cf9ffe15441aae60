"""The end of a prompt that asks about code, in the form that the model's kind needs: a chat, or a document to continue.

Deliberately not here: completions (`completion_tails`), what to ask about (features) and what becomes of the answer
(generate). Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gemma_lsp.prompt.frame import OWN_LINES, Frame
from gemma_lsp.prompt.segments import Prompt, Region, Segment

_FENCE = "```"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTail:
    """What follows the head. `opener` was put into the model's mouth and is the start of its answer."""

    segments: Prompt
    opener: str
    stop: tuple[str, ...]


class Asked(StrEnum):
    """What is asked about a selection."""

    BUG = "bug"
    CODE = "code"
    DIAGNOSTIC = "diagnostic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whole lines of a file; `first_line` counts from 1, `symbol` is the definition around them or ""."""

    path: str
    symbol: str
    first_line: int
    lines: tuple[str, ...]

    @property
    def where(self) -> str:
        """The place in words: "rates.py, lines 3 to 5"."""
        last = self.first_line + len(self.lines) - 1
        lines = f"line {last}" if last == self.first_line else f"lines {self.first_line} to {last}"
        return f"{self.path}, {lines}"

    @property
    def numbered(self) -> str:
        """The lines with their numbers, each with its line end."""
        width = len(str(self.first_line + len(self.lines) - 1))
        numbered = enumerate(self.lines, self.first_line)
        return "".join(f"{n:>{width}} | {line}".rstrip() + "\n" for n, line in numbered)


@dataclass(frozen=True, slots=True)
class Quote:
    """A line of a file, without its indentation."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about a selection: messages of other tools, lines that call it, definitions it uses, a traceback.

    All of it may be untrue or hostile; it is quoted, never followed.
    """

    reported: tuple[str, ...] = ()
    callers: tuple[Quote, ...] = ()
    used: tuple[Quote, ...] = ()
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that was answered before."""

    question: str
    answer: str


NO_EVIDENCE = Evidence()
EARLIER_CHARS = 1500  # of an earlier answer that a follow-up gives again; guessed


def explain_tail(
    frame: Frame, selection: Selection, *, asked: Asked, evidence: Evidence, thinking: bool
) -> RequestTail:
    """Asks about a selection. A base model is shown less: it copies what it sees last."""
    if not frame.chat:
        return _explain_document(selection, asked, evidence)
    parts = [_shown(selection), *evidence_parts(evidence), _EXPLAIN[asked], _CITE]
    return chat_request(frame, "\n".join(parts), thinking=thinking)


def hover_tail(frame: Frame, selection: Selection, evidence: Evidence) -> RequestTail:
    """Asks a chat model for a paragraph about a definition."""
    text = "\n".join((_shown(selection), *evidence_parts(evidence), _DESCRIBE.format(name=selection.symbol)))
    return chat_request(frame, text, thinking=False)


def question_tail(
    frame: Frame,
    question: str,
    *,
    thinking: bool,
    selection: Selection | None = None,
    earlier: Sequence[Exchange] = (),
) -> RequestTail:
    """Asks a free question about the repository, a selection in it, or an answer that was given before."""
    if frame.chat:
        parts = [f"I asked before: {e.question}\nThe answer was:\n{_shortened(e.answer)}\n" for e in earlier]
        parts += [_shown(selection)] if selection else []
        return chat_request(frame, "\n".join((*parts, f"{question.strip()}\n\n{_CITE}")), thinking=thinking)
    before = "".join(f"## Question: {_one_line(e.question)}\n\nAnswer: {_shortened(e.answer)}\n\n" for e in earlier)
    about = f"{_shown(selection)}\n" if selection else ""
    text = f"\n# Questions and answers\n\n{before}{about}## Question: {_one_line(question)}\n\nAnswer:"
    return RequestTail(segments=(Segment(Region.REQUEST, text),), opener="", stop=("\n#",))


def evidence_parts(evidence: Evidence) -> list[str]:
    """The evidence as paragraphs of a chat request."""
    parts = []
    if evidence.reported:
        parts.append("Reported there:\n" + "".join(f"- {line}\n" for line in evidence.reported))
    if evidence.traceback:
        parts.append(f"Running it ended like this:\n\n{_FENCE}text\n{evidence.traceback}\n{_FENCE}\n")
    if evidence.used:
        parts.append("It uses:\n" + "".join(f"- `{q.path}`: `{q.text}`\n" for q in evidence.used))
    if evidence.callers:
        parts.append("It is called here:\n" + "".join(f"- `{q.path}`: `{q.text}`\n" for q in evidence.callers))
    return parts


def review_tail(frame: Frame, selection: Selection) -> RequestTail:
    """Asks for findings in one definition; the grammar of the answer is the feature's."""
    code = "".join(line + "\n" for line in selection.lines)
    if frame.chat:
        text = f"Review this code from {selection.where}:\n\n{_FENCE}python\n{code}{_FENCE}\n\n{_REVIEW}"
        return chat_request(frame, text, thinking=False)
    name = selection.symbol or selection.path
    text = f"\n# Code review of {name}\n\n{_FENCE}python\n{code}{_FENCE}\n\nThe line with a bug (or none): "
    return RequestTail(segments=(Segment(Region.REQUEST, text),), opener="", stop=())


_EXPLAIN = {
    Asked.BUG: (
        "Explain the bug in these lines: what is wrong, why, with which input it shows, and the smallest fix. "
        "If you see no bug, say so."
    ),
    Asked.CODE: "Explain what these lines do, what they rely on and who relies on them.",
    Asked.DIAGNOSTIC: (
        "Explain what was reported: what it means, whether it is true here, and the smallest change that ends it."
    ),
}
_CITE = "When you refer to code, give the file and quote one line of it as it stands there, like this: `path`: `line`."
_DESCRIBE = (
    "Say in one paragraph of at most three sentences what `{name}` is for, what one must know to use it, and where the "
    "repository uses it. No headings, no lists, no code."
)
_REVIEW = (
    "List the bugs that are certain: quote the faulty line exactly as it stands there, say what is wrong with it and "
    "with which input it shows, each in one sentence, and how sure you are in per cent. Most code has none. Answer in "
    'JSON: {"findings": [{"quote": ..., "what": ..., "why": ..., "severity": ..., "confidence": ...}]}. '
    "If nothing is wrong, the list is empty."
)


def chat_request(frame: Frame, text: str, *, thinking: bool) -> RequestTail:
    """A request as the user's last words in a chat."""
    request = Segment(Region.REQUEST, frame.request_open + text)
    return RequestTail(segments=(request, *frame.close(thinking=thinking)), opener="", stop=OWN_LINES)


def _shown(selection: Selection) -> str:
    return f"In {selection.where}:\n\n{_FENCE}python\n{selection.numbered}{_FENCE}\n"


def _shortened(answer: str) -> str:
    return answer if len(answer) <= EARLIER_CHARS else answer[:EARLIER_CHARS].rstrip() + " ..."


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _explain_document(selection: Selection, asked: Asked, evidence: Evidence) -> RequestTail:
    """A report that has been begun: the model goes on with its first sentence."""
    subject = f"The function `{selection.symbol.rpartition('.')[2]}`" if selection.symbol else "The code"
    about = f"{selection.symbol} in {selection.path}" if selection.symbol else selection.path
    title, heading, opener = {
        Asked.BUG: ("Bug report", "What is wrong with this code", f"{subject} fails when"),
        Asked.CODE: ("Notes", "What this code does", subject),
        Asked.DIAGNOSTIC: ("Linter report", "What this message means", "This message means that"),
    }[asked]
    notes = "".join(f"- {line}\n" for line in evidence.reported) + "\n" if evidence.reported else ""
    if evidence.traceback:
        notes += f"{_FENCE}text\n{evidence.traceback}\n{_FENCE}\n\n"
    text = (
        f"\n# {title}: {about}\n\nThe code in question, {selection.where}:\n\n"
        f"{_FENCE}python\n{selection.numbered}{_FENCE}\n\n{notes}## {heading}\n\n"
    )
    segments = (Segment(Region.REQUEST, text), Segment(Region.REQUEST, opener))
    return RequestTail(segments=segments, opener=opener, stop=("\n#",))
