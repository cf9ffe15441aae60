"""What an edit costs by its place, over a tiny repository and the fake backend, beside a stand-in for llama-server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.edits.plot import write_plot
from gemma_lsp.bench.edits.run import EditsOptions, run_edits
from gemma_lsp.bench.edits.types import OURS, THEIRS, THEIRS_BEST, Edits
from gemma_lsp.bench.llama_server import LlamaServer, LlamaServerError, ServerOptions, find_llama_server
from gemma_lsp.cli.bench.edits import print_edits, sizes_of
from tests.support.histories import commits
from tests.support.llama_server import stand_in
from tests.support.scoring import load, silent

# Keeps what agrees with the prompt before from its start, as llama-server does; with --cache-reuse all but what is new.
ANSWER = """
before, best = [], "--cache-reuse" in sys.argv
def answer(path, asked):
    global before
    prompt = asked["prompt"]
    same = next((i for i, (a, b) in enumerate(zip(before, prompt)) if a != b), min(len(before), len(prompt)))
    n = len(prompt) - same
    before = prompt
    return {"timings": {"prompt_n": min(n, 40) if best else n}} if prompt else {"error": "empty"}
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of functions, and a commit that changes one."""

    def functions(name: str) -> str:
        return "\n\n".join(f"def {name}_{n}(kg):\n    base = kg * {n}\n    return base\n" for n in range(4))

    first = {f"{name}.py": functions(name) for name in ("alpha", "beta", "gamma")}
    versions = (first, {"gamma.py": "def gamma():\n    return 1\n"})
    return commits(tmp_path_factory.mktemp("shop"), versions)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program called llama-server."""
    return stand_in(tmp_path_factory.mktemp("bin"), ANSWER)


@pytest.fixture(scope="module")
def found(repo: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Edits:
    options = EditsOptions(
        repo=repo,
        sizes=(2048, 4096),
        runs=2,
        snapshots=tmp_path_factory.mktemp("kv"),
        model="model.gguf",
        against=program.parent,
    )
    return run_edits(options, load, silent)


def test_an_edit_costs_us_the_same_wherever_it_stands(found: Edits) -> None:
    """Errata and tail; what stands behind the edit stays."""
    sums = {(s.n_ctx, s.what, s.arm): s for s in found.sums()}
    for n_ctx in (2048, 4096):
        assert sums[n_ctx, "10%", OURS].evaluated == pytest.approx(sums[n_ctx, "90%", OURS].evaluated, abs=60)
        assert sums[n_ctx, "10%", OURS].beyond > 0
        assert sums[n_ctx, "append", OURS].evaluated < 8


def test_the_other_side_reads_on_from_the_edit(found: Edits) -> None:
    """The same text in the same order: an early edit costs it more than a late one."""
    sums = {(s.what, s.arm): s for s in found.sums() if s.n_ctx == 4096}
    assert sums["10%", THEIRS].evaluated > sums["90%", THEIRS].evaluated > sums["append", THEIRS].evaluated
    assert sums["10%", THEIRS_BEST].evaluated == 40
    ratio = sums["10%", THEIRS].evaluated / sums["10%", OURS].evaluated
    assert sums["10%", THEIRS].evaluated_ratio == pytest.approx(ratio)
    assert sums["10%", THEIRS].met is (ratio >= 15)


def test_a_restart_reads_from_the_disk(found: Edits) -> None:
    """The same answer, for the tail."""
    assert [r.n_ctx for r in found.restarts] == [2048, 4096]
    assert all(r.same_answer and r.restored > r.evaluated for r in found.restarts)


def test_the_report_says_it_all(found: Edits) -> None:
    """JSON, and a table of medians."""
    told = json.loads(json.dumps(found.to_json()))
    assert told["sums"][0]["arm"] == OURS
    assert {row["what"] for row in told["rows"]} >= {"10%", "50%", "90%", "append"}
    out = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_edits(out, found)
    text = out.export_text()
    assert "llama-server, best" in text
    assert "the same answer" in text


def test_the_plot_has_a_line_for_each_side_and_place(found: Edits, tmp_path: Path) -> None:
    """Appends are not in it: there is nothing to see."""
    write_plot(found, tmp_path / "edits.svg")
    svg = (tmp_path / "edits.svg").read_text("utf-8")
    assert svg.startswith("<?xml")
    for side in ("gemma-lsp", "llama-server", "llama-server, best"):
        assert all(f"<!-- {side}, edit at {place} -->" in svg for place in ("10%", "50%", "90%"))
    with pytest.raises(GemmaLspError, match="choose another --plot"):
        write_plot(found, tmp_path / "no" / "edits.svg")


def test_a_size_that_is_too_small_is_left_out(repo: Path, tmp_path: Path) -> None:
    """And said."""
    found = run_edits(EditsOptions(repo=repo, sizes=(512, 4096), runs=1, snapshots=tmp_path, model="m"), load, silent)
    assert {row.n_ctx for row in found.rows} == {4096}
    assert "in 512 tokens" in found.about["left_out"][0]


def test_where_nothing_can_be_edited_says_so(repo: Path, tmp_path: Path) -> None:
    """One file in full is not enough: the question is asked in another."""
    subprocess.run(["git", "clone", "-q", str(repo), str(tmp_path / "r")], check=True, timeout=60)
    options = EditsOptions(repo=tmp_path / "r", sizes=(512,), runs=1, snapshots=tmp_path / "kv", model="m")
    with pytest.raises(GemmaLspError, match="choose larger --sizes"):
        run_edits(options, load, silent)


def test_sizes_are_numbers() -> None:
    """Each once, ascending."""
    assert sizes_of("4096, 2048,2_048") == (2048, 4096)
    for wrong in ("", "a", "512"):
        with pytest.raises(Exception, match="at least 1024"):
            sizes_of(wrong)


def test_a_server_that_is_not_there_or_ends_is_told(tmp_path: Path, program: Path) -> None:
    """In words that say what to do."""
    with pytest.raises(LlamaServerError, match="name the program or the folder"):
        find_llama_server(tmp_path)
    assert find_llama_server(program) == str(program)
    broken = tmp_path / "llama-server"
    broken.write_text("#!/bin/sh\necho no such model\nexit 3\n", "utf-8")
    broken.chmod(0o755)
    with pytest.raises(LlamaServerError, match="exit code 3: no such model"):
        LlamaServer(ServerOptions(program=str(broken), model="m", n_ctx=1024, threads=1)).__enter__()
    with (
        LlamaServer(ServerOptions(program=str(program), model="m", n_ctx=1024, threads=1)) as server,
        pytest.raises(LlamaServerError, match="answered 200"),
    ):
        server.first_token([])
