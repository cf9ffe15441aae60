"""Recorded keystrokes: the format, and what playing them costs over the fake backend."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.bench.replay.run import BenchOptions, run_trace
from gemma_lsp.bench.replay.traces import KeyRow, TraceError, read_trace, states
from gemma_lsp.cli.bench.traces import print_trace
from tests.support.histories import commits
from tests.support.scoring import load, silent

START = "# Notes\n\nParcels are weighed.\n"
TYPED = "They are measured, too.\n"


def written(path: Path, *, zipped: bool) -> Path:
    """Types a sentence at the end, takes a word back, and pastes a paragraph at the start."""
    at = len(START)
    txns = [{"patches": [[at + n, 0, c]]} for n, c in enumerate(TYPED)]
    txns.append({"patches": [[at, 5, ""]]})
    txns.append({"patches": [[at, 0, "x"], [0, 0, "A paragraph. " * 40]]})
    data = json.dumps({"startContent": START, "endContent": "", "txns": txns}).encode()
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """One commit after the first."""
    (tmp_path / "shop").mkdir()
    text = "LIMIT = {}\n\n\ndef rate(kg):\n    return kg * LIMIT\n"
    return commits(tmp_path / "shop", [{"rates.py": text.format(n)} for n in range(2)])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_trace_is_a_text_and_what_is_done_to_it(tmp_path: Path, zipped: bool) -> None:
    """The cursor stands behind the last patch."""
    found = list(states(read_trace(written(tmp_path / "trace", zipped=zipped))))
    assert found[0] == (START + "T", len(START) + 1, "T")
    assert found[len(TYPED) - 1][0] == START + TYPED
    assert found[-2] == (START + TYPED[5:], len(START), "")
    content, cursor, inserted = found[-1]
    assert content == "A paragraph. " * 40 + START + "x" + TYPED[5:]
    assert (cursor, inserted[0]) == (520, "x")


def test_what_is_no_trace_is_told(tmp_path: Path) -> None:
    """With where to read about the format."""
    for content in (b"", b"[]", b'{"txns": [1]}', b"\x1f\x8bno"):
        (tmp_path / "trace").write_bytes(content)
        with pytest.raises(TraceError, match="editing-traces"):
            read_trace(tmp_path / "trace")
    with pytest.raises(TraceError):
        read_trace(tmp_path / "none")


def test_a_key_costs_itself(tmp_path: Path, repo: Path) -> None:
    """Whatever the prompt's length: what is typed is appended, and what is deleted is rewound."""
    trace = read_trace(written(tmp_path / "trace", zipped=True))
    report = run_trace(BenchOptions(repo=repo, n_ctx=4096), trace, 100, load, silent)
    keys = [row for row in report.rows if row.is_key]
    assert len(keys) == len(TYPED)
    assert all(row.beyond <= 2 for row in keys[1:])
    assert keys[-1].prompt > 100
    assert report.rows[-1].evaluated > 100  # what was pasted stands before the cursor
    told = json.loads(json.dumps(report.to_json()))
    assert [s["kind"] for s in told["sums"]] == ["keys", "others", "all"]
    assert len(told["rows"]) == len(TYPED) + 2
    out = Console(width=160, record=True, file=(tmp_path / "out").open("w"))
    print_trace(out, report)
    assert "goal: 99.5% at least" in out.export_text()


def test_what_is_a_key() -> None:
    """One or two characters that were put in."""
    rows = [
        KeyRow(number=1, inserted=text, typed=1, prompt=9, evaluated=3, laid_out=False, idle=0)
        for text in ("a", "()", "", "pasted")
    ]
    assert [row.is_key for row in rows] == [True, True, False, False]
    assert rows[0].beyond == 2
