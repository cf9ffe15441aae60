"""Whether what an editor has open may enter the prompt, asked at every key: only what an edit touched is looked at.

For one thread. The rules themselves are `kinds`' and `secrets`'.
"""

from __future__ import annotations

from gemma_lsp.text import Text
from gemma_lsp.workspace.kinds import GENERATED_HEAD, generated, minified
from gemma_lsp.workspace.rules import ScanOptions
from gemma_lsp.workspace.scan import too_large
from gemma_lsp.workspace.secrets import LONGEST_SECRET, secret_in_text

_KEPT = 64  # documents whose last fit text is remembered


class Fitness:
    """Remembers of each document the last text that was fit: a secret in a later one overlaps what differs."""

    def __init__(self, options: ScanOptions) -> None:
        self._options = options
        self._fit: dict[str, str] = {}

    def unfit(self, path: str, text: Text) -> str | None:
        """Why the text of a document may not enter the prompt for what it holds, or None."""
        content, before = text.content, self._fit.pop(path, None)
        head, tail = text.shared_with(before) if before is not None else (0, 0)
        touched = content if before is None else _touched(content, head, tail)
        reason = too_large(content, self._options) or secret_in_text(touched)
        if reason is None and head < GENERATED_HEAD:
            reason = generated(content)
        reason = reason or minified(len(content), text.n_lines)
        if reason is None:
            self._fit[path] = content
            if len(self._fit) > _KEPT:
                del self._fit[next(iter(self._fit))]
        return reason


def _touched(content: str, head: int, tail: int) -> str:
    """Whole lines around what differs from a text without secrets, wide enough for any secret that the edit made."""
    start = content.rfind("\n", 0, max(0, head - LONGEST_SECRET)) + 1
    end = content.find("\n", min(len(content), len(content) - tail + LONGEST_SECRET))
    return content[start : end if end >= 0 else len(content)]
