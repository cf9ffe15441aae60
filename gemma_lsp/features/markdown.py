"""Markdown from a model is untrusted: it may hold what some file in the repository told it to write. Pure.

What remains is text, emphasis, lists, headings and code: no HTML, no images, no links but those made here.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_FENCE = re.compile(r"(`{3,}|~{3,})([^`\n]*)\Z")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\s*\(([^)\n]*)\)")
_REFERENCE = re.compile(r"!?\[([^\]\n]*)\]\s*\[[^\]\n]*\]")
_DEFINITION = re.compile(r"[ \t>*+-]*\[[^\]\n]+\]:.*")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain(text: str) -> str:
    """The text without control characters and invisible marks: safe on a terminal."""
    return _UNSEEN.sub("", text)


def sanitised(markdown: str) -> str:
    """The Markdown with everything that could load, run or disguise something turned into text.

    Only fences at the start of a line count as such: an indented one ends with its list, and what follows would be
    taken for code here and for text by the client.
    """
    fence, lines = "", []
    for line in plain(markdown).split("\n"):
        opened = _FENCE.match(line.rstrip())
        if fence:
            lines.append(line)
            if opened and opened.group(1).startswith(fence) and not opened.group(2).strip():
                fence = ""
        elif opened:
            fence = opened.group(1)
            lines.append(fence + re.sub(r"[^\w+-]", "", opened.group(2)))
        else:
            safe = _line(line)
            # What was taken out may have stood before something that would now begin a block of code.
            lines.append("\\" + safe if _FENCE.match(safe) else safe)
    return "\n".join([*lines, fence] if fence else lines)


def link(path: str, line: int, base: str) -> str:
    """A link to a line, counted from 1, of a file in the workspace; `base` ends with a slash or is empty."""
    return f"[{escaped(path)}:{line}]({base}{quote(path)}#L{line})"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>!#|])", r"\\\1", " ".join(plain(text).split()))


def code(text: str) -> str:
    """A code span that shows exactly this text, in one line."""
    content = " ".join(plain(text).split("\n")).strip()
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"


def _line(line: str) -> str:
    if _DEFINITION.fullmatch(line):
        return ""
    done, at = [], 0
    for span in _CODE_SPAN.finditer(line):
        done += [_text(line[at : span.start()]), span.group()]
        at = span.end()
    return "".join((*done, _text(line[at:])))


def _text(text: str) -> str:
    """Text outside code: links keep their words; "<" cannot begin a tag, nor "[" a link."""
    text = _LINK.sub(lambda m: m.group(1), text)
    text = _REFERENCE.sub(lambda m: m.group(1), text)
    return text.replace("<", "&lt;").replace("](", "] (")
