"""The completion bench: tasks, scores, intervals, results on disk, and one run over a scripted engine."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.complete import score
from gemma_lsp.bench.complete.ask import Asker
from gemma_lsp.bench.complete.infill import comparisons, infill
from gemma_lsp.bench.complete.run import Completed
from gemma_lsp.bench.complete.store import Store
from gemma_lsp.bench.complete.tasks import InfillTask, TaskError, read_tasks, sampled
from gemma_lsp.bench.complete.types import Arm, Row, compare, mean, share, summed_up
from gemma_lsp.bench.llama_server import LlamaServer, ServerOptions
from gemma_lsp.cli.bench.complete import print_completed
from gemma_lsp.generate.distance import distance
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text
from tests.support.llama_server import stand_in
from tests.support.scripted import ScriptedEngine, scripted_model

ROW = {
    "task_id": "T/0",
    "entry_point": "total",
    "prompt": "def total(items):\n",
    "suffix": "    return n\n",
    "canonical_solution": "    n = sum(items)\n",
    "test": "def check(f):\n    assert f([1, 2]) == 3\n",
}
SPAN = {**ROW, "task_id": "T/1", "prompt": "def total(items):\n    n = su", "canonical_solution": "m(items)"}
SPAN["suffix"] = "\n    return n\n"


def tasks_at(folder: Path) -> list[InfillTask]:
    path = folder / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, (ROW, SPAN))).encode()))
    return read_tasks(path)


def row(task: str, arm: str, *, passed: bool) -> Row:
    return Row(task=task, arm=arm, text="x", reason="model", passed=passed)


def test_a_task_is_a_program_with_a_gap(tmp_path: Path) -> None:
    """A missing whole line leaves an empty one; any other gap leaves what stands around it."""
    line, span = tasks_at(tmp_path)
    assert (line.own_line, line.editor_after, line.truth) == (True, "\n    return n\n", "    n = sum(items)")
    assert (span.own_line, span.editor_after) == (False, "\n    return n\n")
    assert line.program(line.truth) == span.program(span.truth)


ANSWER = """
def answer(path, asked):
    right = path == "/infill" and asked["input_prefix"].endswith("su") and asked["temperature"] == 0
    return {"content": "m(items)" if right else "    pass\\n", "timings": {"prompt_n": 7, "predicted_n": 3}}
"""


async def test_llama_server_is_an_arm_of_its_own(tmp_path: Path) -> None:
    """Its answer is cut as the raw one is, and compared with ours task by task."""
    program = stand_in(tmp_path, ANSWER)
    engine = ScriptedEngine("x", " = sum(items)\n", "x", "m(items)\n")
    store = Store(None, {})
    with LlamaServer(ServerOptions(program=str(program), model="m", n_ctx=1024, threads=1)) as server:
        asker = Asker(client=engine, model=scripted_model("fim"))
        await infill(asker, tasks_at(tmp_path), store, lambda text: None, server)
    theirs = [row for row in store.rows if row.arm == Arm.SERVER]
    assert [(row.text, row.passed, row.evaluated) for row in theirs] == [("    pass", False, 7), ("m(items)", True, 7)]
    found = {c.second: (c.only_first, c.only_second) for c in comparisons(store.rows)}
    assert found[Arm.SERVER] == found[Arm.SERVER_LINE] == (1, 0)
    assert [(row.generated, row.first_ms) for row in theirs] == [(3, None)] * 2


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """The message says what to give instead."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"question": 1}\n')
    with pytest.raises(TaskError, match="give --tasks a JSONL file"):
        read_tasks(path)
    path.write_text("\n")
    with pytest.raises(TaskError, match="holds no tasks"):
        read_tasks(path)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    """So a long run can go on from a short one."""
    items = list(range(50))
    assert set(sampled(items, 10, 3)) < set(sampled(items, 20, 3)) < set(items)
    assert sampled(items, 0, 3) == items
    assert sampled(items, 10, 3) != sampled(items, 10, 4)


@pytest.mark.parametrize(
    ("text", "after", "kept"),
    [
        ("a\nb\nreturn x\n", "\nreturn x\n", "a\nb"),
        ("a + b", " + b\n", "a"),
        ("a + ", " + b\n", "a + "),
        ("f(a)\nretu", ")\nreturn x\n", "f(a"),
        ("f(a))", ")\nreturn x\n", "f(a))"),
        ("a\nretu", "\nreturn x\n", "a"),
        ("a", "\n\n", "a"),
    ],
)
def test_a_raw_answer_is_cut_where_it_meets_the_suffix(text: str, after: str, kept: str) -> None:
    """At the suffix's first line, or at the beginning of it that the limit left."""
    assert score.up_to_suffix(text, after) == kept


def test_what_counts_as_said_twice_broken_or_leaked() -> None:
    """The truth itself is never at fault."""
    assert score.repeats_suffix("", "    return n", "\n    return n\n", "    n = 1")
    assert not score.repeats_suffix("", "    return n", "\n    return n\n", "    return n")
    assert not score.repeats_suffix("", "x = (\n)", "\n)\n", "y")
    parses = lambda content: not parse("a.py", Text(content)).error_spans  # noqa: E731
    assert score.breaks("x = ", "(", "\n", "1", parses)
    assert not score.breaks("x = ", "(", "\n", ")", parses)
    assert [score.leaks(text) for text in ("a<|fim_pad|>", "```", "a < b", "x: list[s]")] == [True, True, False, False]


def test_similarity_is_by_edits() -> None:
    """1 is equal but for white space around, 0 shares nothing."""
    assert score.similarity(" a = 1\n", "a = 1") == 1.0
    assert score.similarity("", "abc") == 0.0
    assert score.similarity("abcd", "abxd") == pytest.approx(0.75)
    assert distance("kitten", "sitting") == 3


def test_intervals_hold_the_value() -> None:
    """Wilson's for shares, which is never of width zero, and a bootstrap for means."""
    none, half = share([False] * 10), share([True, False] * 50)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.2775, abs=1e-3)
    assert [half.low, half.high] == pytest.approx([0.4038, 0.5962], abs=1e-3)
    found = mean([0.0, 1.0] * 50)
    assert found.low < 0.5 == found.value < found.high


def test_arms_are_compared_on_the_tasks_that_both_did() -> None:
    """The difference is paired, and says how often each alone was right."""
    rows = [row(f"{i}", Arm.OURS, passed=i < 6) for i in range(10)]
    rows += [row(f"{i}", Arm.RAW_LINE, passed=3 <= i < 7) for i in range(8)]
    found = compare(rows, Arm.OURS, Arm.RAW_LINE, "passed")
    assert found is not None
    assert (found.n, found.only_first, found.only_second) == (8, 3, 1)
    assert found.difference.value == pytest.approx(0.25)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.5)
    assert compare(rows, Arm.OURS, Arm.RAW, "passed") is None


def test_results_are_kept_and_taken_up_again(tmp_path: Path) -> None:
    """The same run goes on; another one is refused; damage is named."""
    path = tmp_path / "out.json"
    Store(path, {"model": "m"}).put([row("1", Arm.OURS, passed=True)])
    again = Store(path, {"model": "m"})
    assert again.has("1", Arm.OURS)
    assert again.rows == [row("1", Arm.OURS, passed=True)]
    with pytest.raises(ConfigError, match="another run"):
        Store(path, {"model": "n"})
    path.write_text("{")
    with pytest.raises(ConfigError, match="choose another --json"):
        Store(path, {"model": "m"})


async def test_a_run_asks_once_and_tests_what_was_said(tmp_path: Path) -> None:
    """One raw answer is cut in three ways; a second run with the same results asks nothing."""
    tasks = tasks_at(tmp_path)
    engine = ScriptedEngine("    n = sum(items)\n    return n\n", " = sum(items)\n", "m(items)\n    retu", "m(items)\n")
    asker = Asker(client=engine, model=scripted_model("fim"))
    store = Store(tmp_path / "out.json", {"model": "scripted"})
    await infill(asker, tasks, store, lambda text: None)
    passed = {arm: [r.passed for r in store.rows if r.arm == arm] for arm in dict.fromkeys(r.arm for r in store.rows)}
    assert passed == {
        Arm.RAW: [True, False],
        Arm.RAW_LINE: [True, True],
        Arm.RAW_SUFFIX: [True, True],
        Arm.OURS: [True, True],
    }
    assert [r.text for r in store.rows if r.arm == Arm.OURS] == ["    n = sum(items)", "m(items)"]
    assert [s.repeats for s in summed_up(store.rows)] == [1, 0, 0, 0]
    asked = len(engine.asked)
    await infill(asker, tasks, Store(tmp_path / "out.json", {"model": "scripted"}), lambda text: None)
    assert len(engine.asked) == asked == 4
    out = io.StringIO()
    about = {"model": "scripted", "tasks": "tasks.jsonl", "n_ctx": 4096}
    found = Completed(about=about, rows=tuple(store.rows), comparisons=tuple(comparisons(store.rows)), notes=("note",))
    print_completed(Console(file=out, width=200), found)
    assert "passed: ours against raw, first line" in out.getvalue()
