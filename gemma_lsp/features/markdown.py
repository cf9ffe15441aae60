"""Markdown from a model is untrusted: it may hold what some file in the repository told it to write. Pure.

What remains is text, emphasis, lists, headings and code: no HTML, no images, no links but those made here.
A client reads what comes out with a parser of its own, so nothing is left to it that two parsers could take for
different things: code begins and ends where it does for everybody, and outside of it no bracket can begin a link.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from gemma_lsp.text import Span

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)\Z")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\s*\(([^)\n]*)\)")
_REFERENCE = re.compile(r"!?\[([^\]\n]*)\]\s*\[[^\]\n]*\]")
_DEFINITION = re.compile(r"[ \t>*+-]*\[[^\]\n]+\]:.*")
_TICKS = re.compile(r"\\.|`+")
_UNPAIRED = re.compile(r"(\\*)(`+|~{3,})")
_UNSAFE = re.compile(r"<|\]\(|\]:")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain(text: str) -> str:
    """The text without control characters and invisible marks: safe on a terminal."""
    return _UNSEEN.sub("", text)


def sanitised(markdown: str) -> str:
    """The Markdown with everything that could load, run or disguise something turned into text.

    Blocks of code are written anew, at the margin: there everybody sees them begin and end at the same lines.
    """
    fence, indent, lines = "", "", list[str]()
    for line in plain(markdown).split("\n"):
        found = _FENCE.match(line.rstrip(" \t"))
        if fence:
            ends = found is not None and found.group(1).startswith(fence) and not found.group(2).strip()
            lines.append(fence if ends else line.removeprefix(indent))
            fence = "" if ends else fence
        elif found:
            fence, indent = found.group(1), line[: found.start(1)]
            lines.append(fence + re.sub(r"[^\w+-]", "", found.group(2)))
        else:
            lines.append(_line(line))
    return "\n".join([*lines, fence] if fence else lines)


def code_spans(line: str) -> list[Span]:
    """Where code stands inside a line, with its backticks: a run of them, to the next one of the same length."""
    spans: list[Span] = []
    runs = [found for found in _TICKS.finditer(line) if found.group().startswith("`")]
    raw = [found.span() for found in re.finditer("`+", line)]  # inside of code a backslash is one
    at = 0
    for opened in runs:
        n = len(opened.group())
        if opened.start() < at:
            continue
        end = next((end for start, end in raw if start >= opened.end() and end - start == n), None)
        if end is not None:
            spans.append(Span(opened.start(), end))
            at = end
    return spans


def link(path: str, line: int, base: str) -> str:
    """A link to a line, counted from 1, of a file in the workspace; `base` ends with a slash or is empty."""
    return f"[{escaped(path)}:{line}]({base}{quote(path)}#L{line})"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>!#|])", r"\\\1", " ".join(plain(text).split()))


def code(text: str) -> str:
    """A code span that shows exactly this text, in one line; nothing for nothing."""
    content = " ".join(plain(text).split("\n")).strip()
    if not content:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"


def _line(line: str) -> str:
    if _DEFINITION.fullmatch(line):
        return ""
    spans = code_spans(line)
    codes = [line[span.start : span.end] for span in spans]
    if any("|" in code for code in codes) and any(_UNSAFE.search(code) for code in codes):
        spans = []  # in a table a bar ends a cell also inside of code, and what is code behind it is another matter
    done, at = list[str](), 0
    for span in spans:
        done += [_text(line[at : span.start]), line[span.start : span.end]]
        at = span.end
    return "".join((*done, _text(line[at:])))


def _text(text: str) -> str:
    """Text outside code: links keep their words; "<" cannot begin a tag, nor "[" a link, nor a backtick code."""
    text = _LINK.sub(lambda m: m.group(1), text)
    text = _REFERENCE.sub(lambda m: m.group(1), text)
    text = text.replace("<", "&lt;").replace("](", "] (").replace("]:", "]\\:").replace("![", "!\\[")
    return _UNPAIRED.sub(_escaped_run, text)


def _escaped_run(found: re.Match[str]) -> str:
    slashes, run = found.groups()
    return slashes + ("" if len(slashes) % 2 else "\\") + "\\".join(run)
