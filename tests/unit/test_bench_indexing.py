"""What indexing and typing cost, over a tiny folder and a clock that ticks once a look."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gemma_lsp.bench.pace import indexing
from gemma_lsp.bench.pace.indexing import NothingToIndex, index_speed, keystrokes, latency, read_index, with_long_file
from gemma_lsp.syntax import Index, OpenTree

MODULE = 'import os\n\n\nclass A:\n    "A."\n\n    def m(self):\n        return os.name\n\n\ndef f(x): return A().m\n'


@pytest.fixture
def index(tmp_path: Path) -> Index:
    (tmp_path / "a.py").write_text(MODULE, "utf-8")
    (tmp_path / "b.py").write_text(MODULE.replace("A", "B"), "utf-8")
    (tmp_path / "README.md").write_text("# Parcels\n", "utf-8")
    return read_index(tmp_path)


def test_the_speed_of_indexing_is_bytes_by_time(tmp_path: Path, index: Index) -> None:
    """Every file counts, prose too; reading is told apart from parsing."""
    ticks = itertools.count()
    speed = index_speed(tmp_path, clock=lambda: next(ticks))
    assert (speed.files, speed.n_bytes) == (3, 2 * len(MODULE) + len("# Parcels\n"))
    assert (speed.read_s, speed.mb_per_s) == (1, pytest.approx(speed.n_bytes / 1e6))


def test_a_folder_without_python_says_so(tmp_path: Path) -> None:
    """Nothing is measured, and nothing is divided by nothing."""
    with pytest.raises(NothingToIndex):
        index_speed(tmp_path)
    (tmp_path / "README.md").write_text("# Parcels\n", "utf-8")
    with pytest.raises(NothingToIndex):
        with_long_file(read_index(tmp_path))


def test_a_long_file_is_made_of_whole_definitions(index: Index) -> None:
    """So many lines, and nothing of it broken."""
    after, path = with_long_file(index, 500)
    parsed = after.files[path]
    assert 500 <= parsed.text.n_lines < 520
    assert not parsed.error_spans
    assert set(after.files) == {*index.files, path}


def test_keys_are_typed_and_each_is_timed(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones for the same seed; code is broken and mended on the way, and the index follows."""
    typed: list[str] = []
    press = indexing._press

    def noted(*args: object) -> object:
        text = press(*args)  # type: ignore[arg-type]
        typed.append(text.content)
        return text

    monkeypatch.setattr(indexing, "_press", noted)
    ticks = itertools.count()
    after, path = with_long_file(index, 60)
    found = keystrokes(after, path, 120, 3, clock=lambda: next(ticks))
    assert (found.n, found.p50_ms, found.p99_ms, found.max_ms) == (120, 1000, 1000, 1000)
    first, typed[:] = list(typed), []
    keystrokes(after, path, 120, 3)
    assert typed == first
    assert len(set(typed)) > 100
    broken = [bool(OpenTree(path, indexing.Text(content)).parsed.error_spans) for content in typed]
    assert True in broken
    assert False in broken


def test_percentiles_are_of_the_sorted_durations() -> None:
    """In milliseconds; the highest is the maximum."""
    found = latency([at / 1000 for at in reversed(range(100))])
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == pytest.approx((50, 95, 99, 99))
