"""What one completion is worth beside the truth, without a model. Pure; any thread."""

from __future__ import annotations

import re
from collections.abc import Callable

from gemma_lsp.generate.distance import distance
from gemma_lsp.generate.stops import opening, tells
from gemma_lsp.prompt.frame import FILE_MARK

_MARKER = re.compile(r"<\|[a-z][a-z0-9_]*\|>|</?s>|<(?:bos|eos|end_of_turn|start_of_turn)>|```")


def first_line(text: str) -> str:
    """The first line that says something, without trailing space."""
    return next((line.rstrip() for line in text.split("\n") if line.strip()), "")


def similarity(text: str, truth: str) -> float:
    """1 - edit distance / length of the longer one, white space at both ends aside; 1 is equal."""
    a, b = text.strip(), truth.strip()
    return 1 - distance(a, b) / max(len(a), len(b)) if a or b else 1.0


def leaks(text: str) -> bool:
    """Whether a marker of the model or of the prompt's own frame is shown as code."""
    return bool(_MARKER.search(text)) or FILE_MARK in text


def repeats_suffix(before: str, text: str, after: str, truth: str) -> bool:
    """Whether the completion's last line is the next line below, which is then there twice; brackets do not count."""
    below = next((line.rstrip() for line in after.partition("\n")[2].split("\n") if line.strip()), "")
    return _ends_with(before, text, below) and not _ends_with(before, truth, below)


def breaks(before: str, text: str, after: str, truth: str, parses: Callable[[str], bool]) -> bool:
    """Whether the file no longer parses where it would with the truth."""
    return bool(text) and parses(before + truth + after) and not parses(before + text + after)


def up_to_suffix(text: str, after: str) -> str:
    """The text up to where it goes on as what stands behind the cursor does.

    Either the suffix's first lines, until they say something, stand in it, or the text's end begins them.
    """
    said = opening(after)
    at = text.find(said) if said else -1
    if at >= 0:
        return text[:at]
    shared = next((n for n in range(min(len(text), len(said)), 0, -1) if text.endswith(said[:n])), 0)
    return text[: len(text) - shared] if tells(said[:shared]) else text


def up_to_line_end(text: str) -> str:
    """The text's first line."""
    return text.partition("\n")[0]


def _ends_with(before: str, text: str, below: str) -> bool:
    whole = before.rpartition("\n")[2] + text
    last = next((line.rstrip() for line in reversed(whole.split("\n")) if line.strip()), "")
    return bool(text.strip()) and last == below and any(c.isalnum() for c in below)
