"""Code of a repository that is most like the code around a place: what one writes has often been written before.

Two steps, so that a large repository costs no more than a small one: the files that share the rarest names with the
place, then their chunks by the share of words in common (Jaccard's index, each word weighted by how rare it is).
After Zhang et al., RepoCoder (EMNLP 2023), which asks by the lines before the cursor, too. Pure; any thread.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from heapq import nlargest
from keyword import kwlist

from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Span, Text

LINES_BEFORE = 20  # that say what the code is about
LINES_AFTER = 10
LEAST_LIKE = 0.12  # on 60 lines of three histories most of what was less like them was worth nothing
MOST_PIECES = 4
WINDOW = 40  # lines of a piece at most; a longer chunk is cut into pieces that overlap by half

_MAX_FILES = 16
_MAX_USERS = 200  # files; a name that more of them use says little
_MAX_CHARS = 1_000_000  # of the files that are looked at
_TRIED = 30  # pieces, the most like first, until there is no room
_WORD = re.compile(r"[A-Za-z_]\w+")
_COMMON = frozenset(kwlist) | {"self", "cls"}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Whole lines of a file; `likeness` is between 0 and 1."""

    path: str
    text: str
    likeness: float


@dataclass(frozen=True, slots=True)
class _Piece:
    path: str
    span: Span
    text: str
    words: AbstractSet[str]


def similar_code(index: Index, path: str, offset: int, shown: Span, chars: int) -> tuple[Excerpt, ...]:
    """What is most like the code at `offset` of a file, the most like last; all of it together at most `chars` long.

    `shown` is the part of that file that is seen anyway.
    """
    wanted = _words(_around(index.files[path].text, offset))
    files = _files_sharing(index, wanted, path)
    pieces = [piece for file in files for piece in _pieces(file, shown if file.path == path else None)]
    weights = _weights(pieces, wanted)
    scored = ((_likeness(wanted, piece.words, weights), -n) for n, piece in enumerate(pieces))
    taken: list[tuple[float, _Piece]] = []
    for likeness, n in nlargest(_TRIED, (found for found in scored if found[0] >= LEAST_LIKE)):
        piece = pieces[-n]
        room = chars - sum(len(other.text) for _, other in taken)
        if len(piece.text) <= room and not any(_overlap(piece, other) for _, other in taken):
            taken.append((likeness, piece))
    return tuple(Excerpt(piece.path, piece.text, likeness) for likeness, piece in reversed(taken[:MOST_PIECES]))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text)) - _COMMON


def _around(text: Text, offset: int) -> str:
    line = text.line_at(offset)
    first, last = max(0, line - LINES_BEFORE + 1), min(text.n_lines - 1, line + LINES_AFTER - 1)
    return text.content[text.line_span(first).start : text.line_span(last).end]


def _files_sharing(index: Index, words: AbstractSet[str], path: str) -> list[ParsedFile]:
    """The file itself and those that use most of the words, rare ones above all."""
    shares: defaultdict[str, float] = defaultdict(float)
    for users in map(index.users, sorted(words)):
        for user in users if len(users) <= _MAX_USERS else ():
            shares[user] += math.log(1 + len(index.files) / (1 + len(users)))
    ranked = nlargest(_MAX_FILES, shares, key=lambda p: (shares[p], p))
    chosen, room = [], _MAX_CHARS
    for file in (index.files[p] for p in dict.fromkeys((path, *ranked))):
        room -= len(file.text.content)
        if file.language == "python" and (room >= 0 or file.path == path):
            chosen.append(file)
    return chosen


def _pieces(file: ParsedFile, shown: Span | None) -> Iterator[_Piece]:
    for chunk in file.chunks:
        for span in _windows(file.text, chunk.span):
            text = file.text.slice(span)
            if text.strip() and (shown is None or span.end <= shown.start or shown.end <= span.start):
                yield _Piece(file.path, span, text, _words(text))


def _windows(text: Text, span: Span) -> Iterator[Span]:
    if span.start == span.end:
        return
    first, last = text.line_at(span.start), text.line_at(span.end - 1)
    for start in range(first, last + 1, WINDOW // 2):
        end = min(start + WINDOW - 1, last)
        yield Span(max(span.start, text.line_span(start).start), min(span.end, text.line_span(end).end + 1))
        if end == last:
            return


def _overlap(piece: _Piece, other: _Piece) -> bool:
    """Whether two pieces say the same in part: of one file, or copies."""
    apart = piece.span.end <= other.span.start or other.span.end <= piece.span.start
    return not apart if piece.path == other.path else piece.text.strip() == other.text.strip()


def _weights(pieces: Sequence[_Piece], wanted: AbstractSet[str]) -> Mapping[str, float]:
    """How rare each word is."""
    counts = Counter(word for piece in pieces for word in piece.words)
    return {word: math.log(1 + len(pieces) / (1 + counts[word])) for word in counts.keys() | wanted}


def _likeness(wanted: AbstractSet[str], words: AbstractSet[str], weights: Mapping[str, float]) -> float:
    if wanted.isdisjoint(words):
        return 0.0
    return sum(weights[word] for word in wanted & words) / sum(weights[word] for word in wanted | words)
