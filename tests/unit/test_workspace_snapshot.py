"""Snapshots are immutable and numbered, and one function says what survives a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from gemma_lsp.text import Text
from gemma_lsp.workspace import WorkspaceSnapshot


def test_a_change_makes_the_next_revision_and_leaves_this_one() -> None:
    """What is not named keeps its very text; None removes; an equal text changes nothing."""
    old = WorkspaceSnapshot(root=Path("r"), name="r", files={"a.py": Text("a"), "b.py": Text("b"), "c.py": Text("c")})
    new = old.with_changes({"b.py": None, "c.py": Text("c"), "d.py": Text("d"), "never.py": None})
    assert (old.revision, new.revision, new.root, new.name) == (0, 1, old.root, old.name)
    assert set(new.files) == {"a.py", "c.py", "d.py"}
    assert new.files["a.py"] is old.files["a.py"]
    assert new.files["c.py"] is old.files["c.py"]
    assert set(old.files) == {"a.py", "b.py", "c.py"}


def test_a_file_is_either_there_or_skipped() -> None:
    """A text ends a reason, and a reason ends a text."""
    first = WorkspaceSnapshot(root=None, name="x", files={"a.py": Text("a")}, skipped={"b.py": "binary"})
    second = first.with_changes({"b.py": Text("b")}, {"a.py": "holds a secret"})
    assert (dict(second.skipped), set(second.files)) == ({"a.py": "holds a secret"}, {"b.py"})
    assert dict(second.with_changes({"a.py": None}).skipped) == {}


def test_a_snapshot_cannot_be_changed_in_place() -> None:
    """Neither its fields nor, once made by a change, its mappings."""
    snapshot = WorkspaceSnapshot(root=None, name="x").with_changes({"a.py": Text("a")})
    with pytest.raises(AttributeError):
        snapshot.revision = 7  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.files["b.py"] = Text("b")  # type: ignore[index]
