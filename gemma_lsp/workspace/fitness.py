"""Whether what an editor has open may enter the prompt, asked at every key: only what an edit touched is looked at.

For one thread. The rules themselves are `kinds`' and `secrets`'.
"""

from __future__ import annotations

from gemma_lsp.text import Text
from gemma_lsp.text.common import common_ends
from gemma_lsp.workspace.kinds import unfit_shape
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
        content = text.content
        before = self._fit.pop(path, None)
        reason = too_large(content, self._options) or secret_in_text(_touched(before, content)) or unfit_shape(content)
        if reason is None:
            self._fit[path] = content
            if len(self._fit) > _KEPT:
                del self._fit[next(iter(self._fit))]
        return reason


def _touched(before: str | None, content: str) -> str:
    """Whole lines around what differs from a text without secrets, wide enough for any secret that the edit made."""
    if before is None:
        return content
    head, tail = common_ends(before, content)
    start = content.rfind("\n", 0, max(0, head - LONGEST_SECRET)) + 1
    end = content.find("\n", min(len(content), len(content) - tail + LONGEST_SECRET))
    return content[start : end if end >= 0 else len(content)]
