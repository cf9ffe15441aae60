"""A layout brought up to date without being made anew: the same files at the same places, with the text of today.

What is told behind the body goes back into it then, and nothing else moves: little to replace inside a cache whose
cells can be moved, where a new layout may exchange half of the files. Pure; any thread.
"""

from __future__ import annotations

from dataclasses import replace

from gemma_lsp.prompt.layout import Counter, FileEntry, Form, Layout, draft
from gemma_lsp.syntax.index import Index

OVER = 0.05  # of the budget: what was told had its room beside the body


def folded(layout: Layout, base: Index, index: Index, count: Counter) -> Layout | None:
    """The layout of `base` with the files of `index`; None where they exceed its budget by more than a little.

    Files that did not stand in full and have changed come to the end in full: their changes were told.
    """
    stay: list[FileEntry] = []
    gone: list[FileEntry] = []
    late = [path for path in index.files if path not in layout.by_path]
    for entry in layout.entries:
        parsed = index.files.get(entry.path)
        if parsed is None:
            continue
        if parsed is base.files.get(entry.path):
            (gone if entry.form is Form.ABSENT else stay).append(entry)
        elif entry.form is Form.FULL:
            stay.append(_as_now(entry, index, count))
        else:
            late.append(entry.path)
    for path in late:
        stay.append(_as_now(FileEntry(path, Form.FULL, "edited recently"), index, count))
    n_tokens = sum(entry.n_tokens for entry in stay)
    return Layout((*stay, *gone), n_tokens, layout.budget) if n_tokens <= (1 + OVER) * layout.budget else None


def _as_now(entry: FileEntry, index: Index, count: Counter) -> FileEntry:
    header, chunks, keys = draft(index, entry.path, Form.FULL)
    n_tokens = sum(count((header, *chunks) if header else chunks))
    return replace(entry, header=header, chunks=chunks, keys=keys, n_tokens=n_tokens)
