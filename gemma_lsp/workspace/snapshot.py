"""The workspace at one moment: immutable and numbered. Any thread may read a snapshot.

What it deliberately does not know: the disk, the editor, syntax. Whoever owns the truth makes the next snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gemma_lsp.text import Text

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSnapshot:
    """Files by path (relative to `root`, '/' as separator) and why others were left out.

    `root` is None for a lone file without a folder. Revisions grow by one with each change.
    """

    root: Path | None
    name: str
    revision: int = 0
    files: Mapping[str, Text] = field(default_factory=lambda: MappingProxyType({}))
    skipped: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def with_changes(
        self, changes: Mapping[str, Text | None], skipped: Mapping[str, str] = _NOTHING
    ) -> WorkspaceSnapshot:
        """The next snapshot; None removes a file. This is the one place that says what survives a change.

        A file that is not named keeps its very `Text` object, and so everything that was derived from it.
        A path that gets a text is no longer skipped; one that gets a reason in `skipped` is no longer a file.
        """
        files = dict(self.files)
        reasons = dict(self.skipped)
        for path, text in changes.items():
            reasons.pop(path, None)
            if text is None:
                files.pop(path, None)
            elif files.get(path) != text:
                files[path] = text
        for path, reason in skipped.items():
            files.pop(path, None)
            reasons[path] = reason
        return WorkspaceSnapshot(
            root=self.root,
            name=self.name,
            revision=self.revision + 1,
            files=MappingProxyType(files),
            skipped=MappingProxyType(reasons),
        )
