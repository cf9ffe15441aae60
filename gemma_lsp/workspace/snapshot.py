"""The workspace at one moment: immutable and numbered. Any thread may read a snapshot.

What it deliberately does not know: the disk, the editor, syntax. Whoever owns the truth makes the next snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gemma_lsp.text import Text
from gemma_lsp.workspace.patched import patched

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
        new = {path: text for path, text in changes.items() if text is not None and self.files.get(path) != text}
        gone = {path for path, text in changes.items() if text is None} | skipped.keys()
        reasons = self.skipped
        if skipped or not reasons.keys().isdisjoint(changes):
            kept = {path: reason for path, reason in reasons.items() if path not in changes}
            reasons = MappingProxyType({**kept, **skipped})
        return WorkspaceSnapshot(
            root=self.root,
            name=self.name,
            revision=self.revision + 1,
            files=_with(self.files, new, gone),
            skipped=reasons,
        )

    def read_anew(self, files: Mapping[str, Text], skipped: Mapping[str, str]) -> WorkspaceSnapshot:
        """The next snapshot where everything was read: a file that reads as it did keeps its very `Text` object."""
        kept = {path: known if (known := self.files.get(path)) == text else text for path, text in files.items()}
        return WorkspaceSnapshot(
            root=self.root, name=self.name, revision=self.revision + 1, files=kept, skipped=skipped
        )


def _with(files: Mapping[str, Text], new: Mapping[str, Text], gone: Set[str]) -> Mapping[str, Text]:
    if gone.isdisjoint(files):
        known = patched(files, {path: text for path, text in new.items() if path not in gone})
        if known is not None:
            return known
    return MappingProxyType({path: text for path, text in {**files, **new}.items() if path not in gone})
