"""The editor's open documents, kept true change by change. Only the event loop's thread may use it.

`raw` keeps the editor's own line ends, because its changes count in them; `text` is what the core sees.
Lines end at '\\n', '\\r\\n' and '\\r', so line numbers and code-point columns are the same in both.
Changes count in the order of their versions: Helix 25.01 sends those of one moment in any order.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gemma_lsp.text import PositionEncoding, Text, column_from_units
from gemma_lsp.text.lines import has_surrogate
from gemma_lsp.text.starts import starts_after

LATE_S = 2.0  # that a change may come after one of a later version; seen: a millisecond
LATE_STEPS = 64  # changes that it may be behind
LATE_CHARS = 4_000_000  # of the states before them, together

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, order=True)
class RawPosition:
    """A place as the editor says it: zero-based line, and units of the negotiated encoding."""

    line: int
    unit: int


@dataclass(frozen=True, slots=True)
class RawRange:
    """From `start` to `end`, half-open."""

    start: RawPosition
    end: RawPosition


@dataclass(frozen=True, slots=True)
class RawChange:
    """Replaces a range of the document, or all of it where `range` is None."""

    range: RawRange | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDocument:
    """One version of an open document. `starts`: where the lines of `raw` begin, where line ends are all in which it
    differs from `text`; else None.
    """

    uri: str
    version: int
    language_id: str
    raw: str
    text: Text
    starts: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One notification of changes, and the document that they were applied to.

    `at`: when it came, in monotonic seconds.
    """

    version: int
    changes: Sequence[RawChange]
    before: OpenDocument
    at: float


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """Why a notification could not be followed, in words for the log."""

    uri: str
    message: str


class OpenDocuments:
    """Open documents by uri. Nothing here raises: an editor's notification has no answer to carry an error."""

    def __init__(self) -> None:
        self._documents: dict[str, OpenDocument] = {}
        self._steps: dict[str, deque[_Step]] = {}  # the last ones of each document, in the order of their versions

    def open(self, uri: str, version: int, language_id: str, raw: str) -> OpenDocument:
        """Takes a document over from the disk; opened twice, the later text counts."""
        document = _document(uri, version, language_id, _joined(raw))
        self._documents[uri] = document
        self._steps[uri] = deque(maxlen=LATE_STEPS)
        return document

    def change(
        self, uri: str, version: int, changes: Sequence[RawChange], encoding: PositionEncoding
    ) -> OpenDocument | DocumentProblem:
        """Applies changes one after the other, each to the result of the one before; a late one in its place."""
        document = self._documents.get(uri)
        if document is None:
            return DocumentProblem(uri, "a change for a document that is not open; open it first")
        steps, now, later = self._steps[uri], time.monotonic(), list[_Step]()
        self._forget(now)
        while steps and steps[-1].version > version and now - steps[-1].at <= LATE_S:
            later.insert(0, steps.pop())
            document = later[0].before
        for step in (_Step(version, changes, document, now), *later):
            steps.append(replace(step, before=document))
            document = _changed(document, step.version, step.changes, encoding)
        self._documents[uri] = document
        return document

    def close(self, uri: str) -> OpenDocument | DocumentProblem:
        """Gives the document back to the disk, and its last state to the caller."""
        self._steps.pop(uri, None)
        document = self._documents.pop(uri, None)
        return document or DocumentProblem(uri, "a close for a document that is not open")

    def _forget(self, now: float) -> None:
        """Lets go of what is too old or too much, also in documents that one has left."""
        for steps in self._steps.values():
            while steps and (now - steps[0].at > LATE_S or sum(len(s.before.raw) for s in steps) > LATE_CHARS):
                steps.popleft()

    def get(self, uri: str) -> OpenDocument | None:
        """The document, or None where it is not open."""
        return self._documents.get(uri)

    def __contains__(self, uri: object) -> bool:
        return uri in self._documents

    def __iter__(self) -> Iterator[OpenDocument]:
        return iter(tuple(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)


def _changed(old: OpenDocument, version: int, changes: Sequence[RawChange], encoding: PositionEncoding) -> OpenDocument:
    document = replace(old, version=version)
    for change in changes:
        if change.range is None:
            document = _document(old.uri, version, old.language_id, _joined(change.text))
        else:
            document = _replaced(document, change.range, change.text, encoding, through=document.text is not old.text)
    return document


def raw_offset(document: OpenDocument, position: RawPosition, encoding: PositionEncoding) -> int:
    """The code-point offset in `raw` that a position means; past a line's end it is the line's end."""
    return _offsets(document, position, encoding)[0]


def _offsets(document: OpenDocument, position: RawPosition, encoding: PositionEncoding) -> tuple[int, int]:
    """The place that a position means, in `raw` and in `text`."""
    text = document.text
    if position.line < 0:
        return 0, 0
    if position.line >= text.n_lines:
        return len(document.raw), len(text.content)
    starts = _raw_line_starts(document.raw) if document.starts is None else document.starts
    column = column_from_units(text.line(position.line), position.unit, encoding)
    return starts[position.line] + column, text.line_starts[position.line] + column


def _replaced(
    document: OpenDocument, span: RawRange, new: str, encoding: PositionEncoding, *, through: bool
) -> OpenDocument:
    """The document after an edit. `through`: the text that it was made out of is the one that others know."""
    raw = document.raw
    (start, first), (end, last) = sorted(_offsets(document, position, encoding) for position in (span.start, span.end))
    starts = document.starts
    if starts is None or has_surrogate(new) or _joins_line_ends(raw, start, end, new):
        return _document(document.uri, document.version, document.language_id, _joined(raw[:start] + new + raw[end:]))
    lines = new.replace("\r\n", "\n").replace("\r", "\n") if "\r" in new else new
    text = document.text.replaced(first, last, lines, through=through)
    if raw is document.text.content and lines is new:
        return replace(document, raw=text.content, text=text, starts=text.line_starts)
    starts = starts_after(starts, start, end, new, _LINE_END)
    return replace(document, raw=raw[:start] + new + raw[end:], text=text, starts=starts)


def _joins_line_ends(raw: str, start: int, end: int, new: str) -> bool:
    """Whether a '\\r' may come to stand before a '\\n' that it was not before."""
    before = raw[start - 1 : start] if start else ""
    return before == "\r" or (new[-1:] == "\r" and raw[end : end + 1] == "\n")


def _document(uri: str, version: int, language_id: str, raw: str) -> OpenDocument:
    text = Text.normalised(raw)
    starts: Sequence[int] | None = None
    if raw is text.content:
        starts = text.line_starts
    elif raw.isascii() or not has_surrogate(raw):
        starts = _raw_line_starts(raw)
    return OpenDocument(uri=uri, version=version, language_id=language_id, raw=raw, text=text, starts=starts)


def _joined(raw: str) -> str:
    """Surrogate halves that arrived one by one joined into the code point that they are."""
    if raw.isascii() or not has_surrogate(raw):
        return raw
    return raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _raw_line_starts(raw: str) -> list[int]:
    return [0, *(match.end() for match in _LINE_END.finditer(raw))]
