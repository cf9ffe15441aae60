"""The editor's open documents, kept true change by change. Only the event loop's thread may use it.

`raw` keeps the editor's own line ends, because its changes count in them; `text` is what the core sees.
Lines end at '\\n', '\\r\\n' and '\\r', so line numbers and code-point columns are the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gemma_lsp.text import PositionEncoding, Text, column_from_units

_LINE_END = re.compile(r"\r\n|\n|\r")
_SURROGATE = re.compile("[\ud800-\udfff]")


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
    """One version of an open document."""

    uri: str
    version: int
    language_id: str
    raw: str
    text: Text


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """Why a notification could not be followed, in words for the log."""

    uri: str
    message: str


class OpenDocuments:
    """Open documents by uri. Nothing here raises: an editor's notification has no answer to carry an error."""

    def __init__(self) -> None:
        self._documents: dict[str, OpenDocument] = {}

    def open(self, uri: str, version: int, language_id: str, raw: str) -> OpenDocument:
        """Takes a document over from the disk; opened twice, the later text counts."""
        document = _document(uri, version, language_id, _joined(raw))
        self._documents[uri] = document
        return document

    def change(
        self, uri: str, version: int, changes: Sequence[RawChange], encoding: PositionEncoding
    ) -> OpenDocument | DocumentProblem:
        """Applies changes one after the other, each to the result of the one before."""
        old = self._documents.get(uri)
        if old is None:
            return DocumentProblem(uri, "a change for a document that is not open; open it first")
        document = old
        for change in changes:
            raw = change.text if change.range is None else _replaced(document, change.range, change.text, encoding)
            document = _document(uri, version, old.language_id, _joined(raw))
        if not changes:
            document = OpenDocument(uri=uri, version=version, language_id=old.language_id, raw=old.raw, text=old.text)
        self._documents[uri] = document
        return document

    def close(self, uri: str) -> OpenDocument | DocumentProblem:
        """Gives the document back to the disk, and its last state to the caller."""
        document = self._documents.pop(uri, None)
        return document or DocumentProblem(uri, "a close for a document that is not open")

    def get(self, uri: str) -> OpenDocument | None:
        """The document, or None where it is not open."""
        return self._documents.get(uri)

    def __contains__(self, uri: object) -> bool:
        return uri in self._documents

    def __iter__(self) -> Iterator[OpenDocument]:
        return iter(tuple(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)


def raw_offset(document: OpenDocument, position: RawPosition, encoding: PositionEncoding) -> int:
    """The code-point offset in `raw` that a position means; past a line's end it is the line's end."""
    text = document.text
    if position.line < 0:
        return 0
    if position.line >= text.n_lines:
        return len(document.raw)
    starts = text.line_starts if "\r" not in document.raw else _raw_line_starts(document.raw)
    line = text.line(position.line)
    return starts[position.line] + column_from_units(line, position.unit, encoding)


def _replaced(document: OpenDocument, span: RawRange, new: str, encoding: PositionEncoding) -> str:
    start, end = (raw_offset(document, position, encoding) for position in (span.start, span.end))
    start, end = min(start, end), max(start, end)
    return document.raw[:start] + new + document.raw[end:]


def _document(uri: str, version: int, language_id: str, raw: str) -> OpenDocument:
    return OpenDocument(uri=uri, version=version, language_id=language_id, raw=raw, text=Text.normalised(raw))


def _joined(raw: str) -> str:
    """Surrogate halves that arrived one by one joined into the code point that they are."""
    if raw.isascii() or _SURROGATE.search(raw) is None:
        return raw
    return raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _raw_line_starts(raw: str) -> list[int]:
    return [0, *(match.end() for match in _LINE_END.finditer(raw))]
