"""Citations: where the model says that a line stands in a file, is it there? Found ones become links. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.features.markdown import code, code_spans, link
from gemma_lsp.syntax.index import Index

_CITATION = re.compile(
    r"`?(?<![\w./-])(?P<place>(?:\./)*+(?P<path>[\w./-]*\w\.\w{1,6})(?::(?P<n>\d+))?)`?"
    r"(?:[\s,(]*(?:(?:at|on|in)\s+)?(?:lines?\s*)?(?P<m>\d+)(?:\s*(?:-|to)\s*\d+)?\)?)?\s*[:,]\s*`(?P<quote>[^`\n]+)`"
)
_FENCE = re.compile(r"(`{3,}|~{3,})[\w+-]*")  # of sanitised text: at the margin, and ended by the same
_NUMBERED = re.compile(r"\s*(\d+) \| ?")
_LEAST_QUOTE = 4  # characters; less is found everywhere and shows nothing


@dataclass(frozen=True, slots=True)
class Citation:
    """A line, counted from 1, of a file in the workspace, and what the model quoted of it."""

    path: str
    line: int
    quoted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A text whose citations have been looked up: `found` became links, of `dropped` only the quote is left."""

    text: str
    found: tuple[Citation, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a text is about: lines, counted from 0, of a file."""

    path: str
    lines: range


NOTHING_SHOWN = Shown("", range(0))


def look_up(text: str, index: Index, base: str, shown: Shown = NOTHING_SHOWN) -> Cited:
    """Looks up every `path`: `line` of a sanitised text.

    Of several lines that read alike it is the one at the number that the text says, or else one of those it is about.
    """
    found: list[Citation] = []
    dropped = 0

    def told(match: re.Match[str]) -> str:
        nonlocal dropped
        citation = _find(match, index, shown)
        if citation is None:
            dropped += 1
            return code(match.group("quote"))
        found.append(citation)
        return f"{link(citation.path, citation.line, base)}: {code(citation.quoted)}"

    told_text = _outside_fences(text, told)
    return Cited(text=told_text, found=tuple(dict.fromkeys(found)), dropped=dropped)


def find_lines(quote: str, content: str) -> list[int]:
    """The lines, counted from 0, that are the quote, or else hold it, white space at its ends and runs of it aside."""
    wanted = " ".join(_NUMBERED.sub("", quote, count=1).split())
    if len(wanted) < _LEAST_QUOTE:
        return []
    lines = [" ".join(line.split()) for line in content.split("\n")]
    whole = [n for n, line in enumerate(lines) if line == wanted]
    return whole or [n for n, line in enumerate(lines) if wanted in line]


def _find(match: re.Match[str], index: Index, shown: Shown) -> Citation | None:
    path, quote = match["path"], match["quote"]
    ending = [known for known in index.files if known.endswith("/" + path)]
    known = path if path in index.files else ending[0] if len(ending) == 1 else None
    lines = find_lines(quote, index.files[known].text.content) if known is not None else []
    if known is None or not lines:
        return None
    numbered = _NUMBERED.match(quote)
    said = (numbered[1] if numbered else None) or match["n"] or match["m"]
    inside = [n for n in lines if n in shown.lines] if known == shown.path else []
    line = min(lines, key=lambda n: abs(n + 1 - int(said))) if said else (inside or lines)[0]
    return Citation(known, line + 1, _NUMBERED.sub("", quote, count=1).strip())


def _outside_fences(text: str, told: Callable[[re.Match[str]], str]) -> str:
    lines, fence = [], ""
    for line in text.split("\n"):
        opened = _FENCE.fullmatch(line)
        lines.append(line if fence or opened else _told_in(line, told))
        if fence:
            fence = "" if line == fence else fence
        elif opened:
            fence = opened.group(1)
    return "\n".join(lines)


def _told_in(line: str, told: Callable[[re.Match[str]], str]) -> str:
    """The line with its citations told; code that only seems to begin or end in one stays what it is."""
    spans = [(span.start, span.end) for span in code_spans(line)]

    def checked(match: re.Match[str]) -> str:
        touched = [span for span in spans if span[0] < match.end() and match.start() < span[1]]
        quote = (match.start("quote") - 1, match.end("quote") + 1)
        path = (match.start("place") - 1, match.end("place") + 1)
        plain_path = "`" not in line[match.start() : match.start("quote") - 1]
        apart = line[: match.start()][-1:] not in ("`", "\\")
        whole = touched == ([quote] if plain_path else [path, quote])
        return told(match) if apart and whole else match.group()

    return _CITATION.sub(checked, line)
