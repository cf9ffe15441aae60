"""Layouts brought up to date in place: nothing moves but what changed, and everything is still told once."""

from __future__ import annotations

from gemma_lsp.prompt.folding import folded
from gemma_lsp.prompt.layout import Form, Layout, LayoutOptions, estimate, plan_layout
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

FILES = {f"shop/part_{n}.py": f"def part_{n}(a, b):\n    return a * {n} + b\n" for n in range(8)}


def index_of(files: dict[str, str]) -> Index:
    texts = {path: Text(content) for path, content in files.items()}
    return build(WorkspaceSnapshot(root=None, name="shop", files=texts))


def changed(index: Index, files: dict[str, str | None]) -> Index:
    texts = {path: None if content is None else Text(content) for path, content in files.items()}
    return index.with_changes(index.snapshot.with_changes(texts))


def forms(layout: Layout) -> dict[str, Form]:
    return {entry.path: entry.form for entry in layout.entries}


def test_a_changed_file_stays_where_it_stands() -> None:
    """The order is that of before, whatever a new layout would make of it, and the text is that of today."""
    base = index_of(FILES)
    layout = plan_layout(base, LayoutOptions(budget_tokens=10_000))
    now = changed(base, {"shop/part_3.py": FILES["shop/part_3.py"] + "\n\ndef more():\n    return 3\n"})
    found = folded(layout, base, now, estimate)
    assert found
    assert [e.path for e in found.entries] == [e.path for e in layout.entries]
    assert [e for e in found.entries if e.path != "shop/part_3.py"] == [
        e for e in layout.entries if e.path != "shop/part_3.py"
    ]
    assert "def more():" in "".join(s.text for s in found.by_path["shop/part_3.py"].chunks)
    assert found.n_tokens == sum(e.n_tokens for e in found.entries) > layout.n_tokens


def test_new_files_come_to_the_end_and_removed_ones_go() -> None:
    """In full, because all of a new file was told."""
    base = index_of(FILES)
    layout = plan_layout(base, LayoutOptions(budget_tokens=10_000))
    now = changed(base, {"shop/new.py": "def new():\n    return 1\n", "shop/part_0.py": None})
    found = folded(layout, base, now, estimate)
    assert found
    assert found.entries[-1].path == "shop/new.py"
    assert (found.entries[-1].form, "shop/part_0.py" in found.by_path) == (Form.FULL, False)


def test_what_was_told_of_an_outline_is_not_lost() -> None:
    """A file that stood by name or as an outline stands in full afterwards, once."""
    base = index_of(FILES | {"shop/long.py": "".join(f"def f_{n}(a):\n    return a + {n}\n\n\n" for n in range(60))})
    layout = plan_layout(base, LayoutOptions(budget_tokens=600))
    short = next(path for path, form in forms(layout).items() if form in (Form.SKELETON, Form.MAP))
    now = changed(base, {short: "def only():\n    return 'something else'\n"})
    found = folded(layout, base, now, estimate)
    assert found
    assert forms(found)[short] is Form.FULL
    assert [e.path for e in found.entries].count(short) == 1


def test_what_does_not_fit_wants_a_new_layout() -> None:
    """The budget holds."""
    base = index_of(FILES)
    layout = plan_layout(base, LayoutOptions(budget_tokens=300))
    now = changed(base, {"shop/part_3.py": "".join(f"x_{n} = {n}\n" for n in range(400))})
    assert folded(layout, base, now, estimate) is None
