"""The replay beside llama-server: the same moments, the text that really stands there, one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.bench.history import HistoryError
from gemma_lsp.bench.llama_server import THEIRS, THEIRS_BEST, LlamaServerError
from gemma_lsp.bench.replay.report import Report
from gemma_lsp.bench.replay.run import BenchOptions, run_bench
from gemma_lsp.cli import app
from tests.support.histories import commits
from tests.support.llama_server import stand_in
from tests.support.scoring import load, silent

RATES = "LIMIT = 30\n\n\ndef rate(kg):\n    base = kg * 2\n    return base\n"
USER = "from rates import rate\n\n\ndef show(kg):\n    print(rate(kg))\n"
VERSIONS = (
    {"rates.py": RATES, "use.py": USER},
    {"rates.py": RATES.replace("kg * 2", "kg * 3")},
    {"use.py": USER + "\n\ndef both(a, b):\n    return rate(a) + rate(b)\n"},
)
# It keeps what the last prompt begins with; with --cache-reuse also what both end with.
ANSWER = """
last = []
def answer(path, asked):
    global last
    new, old = asked["prompt"], last
    assert path == "/completion" and asked["n_predict"] == 1 and asked["cache_prompt"]
    common = lambda a, b: next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    kept = common(new, old)
    if "--cache-reuse" in sys.argv:
        kept += common(new[kept:][::-1], old[kept:][::-1])
    last = new
    return {"timings": {"prompt_n": max(1, len(new) - kept)}}
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return commits(tmp_path_factory.mktemp("rates"), VERSIONS)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in(tmp_path_factory.mktemp("bin"), ANSWER)


@pytest.fixture(scope="module")
def report(repo: Path, program: Path) -> Report:
    return run_bench(BenchOptions(repo=repo, fidelity=False, against=program, model="m.gguf"), load, silent)


def test_every_moment_is_asked_of_both_servers(report: Report) -> None:
    """Their rows stand beside ours, and their cold start among the starts."""
    moments = [row.label for row in report.costs if row.arm == "errata"]
    for arm in (THEIRS, THEIRS_BEST):
        rows = [row for row in report.costs if row.arm == arm]
        assert [row.label for row in rows] == moments
        assert all(row.first_token_ms > 0 and row.idle == 0 for row in rows)
    assert {start.arm for start in report.starts} > {THEIRS, THEIRS_BEST}


def test_they_read_the_text_with_the_edit_in_its_place(report: Report) -> None:
    """As much as our own arm that recomputes; and from the first difference on what stands behind it, too."""
    by_arm = {arm: [row for row in report.costs if row.arm == arm] for arm in report.arms}
    assert [row.prompt for row in by_arm[THEIRS]] == [row.prompt for row in by_arm["recompute"]]
    assert [row.exact for row in by_arm[THEIRS]] == [True] * len(by_arm[THEIRS])
    assert not any(row.exact for row in by_arm[THEIRS_BEST])
    for theirs, best in zip(by_arm[THEIRS], by_arm[THEIRS_BEST], strict=True):
        assert theirs.reused + theirs.evaluated == theirs.prompt
        assert best.evaluated <= theirs.evaluated


def test_the_verdict_tells_them_apart(report: Report) -> None:
    """One sentence a server."""
    said = [line for line in report.to_json()["verdict"] if line.startswith("llama-server")]
    assert len(said) == 2
    assert all("times ours" in line for line in said)


def test_what_cannot_be_asked_is_said(repo: Path, tmp_path: Path, program: Path) -> None:
    """Before a model is loaded."""
    with pytest.raises(HistoryError, match="give --steps"):
        run_bench(BenchOptions(repo=repo, against=program, counting=True), load, silent)
    with pytest.raises(LlamaServerError, match="name the program or the folder"):
        run_bench(BenchOptions(repo=repo, against=tmp_path), load, silent)
    done = CliRunner().invoke(app, ["bench", "replay", "--repo", str(repo), "--against", str(tmp_path / "none")])
    assert done.exit_code == 2
