"""`bench explain` over a scripted model: tasks, what an answer is worth, what is kept between runs, and the sums."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.bugs.explain import ExplainOptions, measure_explain, measure_fix, measure_raw, run_explain
from gemma_lsp.bench.bugs.explain_types import ExplainReport, FixResult, RawResult, Row, read_rows
from gemma_lsp.bench.bugs.score import code_of_answer, named_lines, names_change, passes
from gemma_lsp.bench.bugs.sums import Share, paired, share
from gemma_lsp.bench.bugs.tasks import BugTask, TasksError, changed_lines, load_tasks, sample
from gemma_lsp.cli.bench.explain import print_explain
from gemma_lsp.config.schema import Settings
from tests.support.scripted import ScriptedEngine, scripted_model

HEAD = 'def double(n):\n    """Twice n.\n    >>> double(2)\n    4\n    """\n'
TASK = BugTask(
    id="T/0",
    name="double",
    buggy=HEAD + "    m = n + n\n    return m - n\n",
    correct=HEAD + "    m = n + n\n    return m\n",
    test="def check(f):\n    assert f(2) == 4\n\ncheck(double)\n",
)
ROW = {
    "task_id": "T/0",
    "prompt": HEAD,
    "canonical_solution": "    m = n + n\n    return m\n",
    "buggy_solution": "    m = n + n\n    return m - n\n",
    "test": TASK.test,
    "entry_point": "double",
}
FIXED = "n):\n    m = n + n\n    return m\n```"
QUICK = replace(Settings(), explain=replace(Settings().explain, thinking_tokens=0))


def chat(*answers: str) -> ScriptedEngine:
    return ScriptedEngine(*answers, model=scripted_model("chat"))


def test_tasks_are_read_plain_and_gzipped(tmp_path: Path) -> None:
    """The fields of HumanEvalPack; a file of something else says what is wanted."""
    lines = json.dumps(ROW) + "\n"
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert load_tasks(tmp_path / "a.jsonl") == load_tasks(tmp_path / "b.jsonl.gz") == (TASK,)
    (tmp_path / "c").write_text('{"some": "thing"}\n', encoding="utf-8")
    with pytest.raises(TasksError, match="task_id, prompt"):
        load_tasks(tmp_path / "c")
    (tmp_path / "d").write_text("", encoding="utf-8")
    with pytest.raises(TasksError, match="empty"):
        load_tasks(tmp_path / "d")


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    """So that what was measured stays of use."""
    tasks = [replace(TASK, id=str(n)) for n in range(20)]
    assert sample(tasks, 5, 7) == sample(tasks, 12, 7)[:5]
    assert sample(tasks, 5, 7) != sample(tasks, 5, 8)
    assert len(sample(tasks, 0, 7)) == 20


def test_changed_lines_are_those_of_the_wrong_code() -> None:
    """Changed and deleted ones; of an insertion the lines beside it."""
    assert TASK.changed == {6}
    assert changed_lines(["a", "b", "c"], ["a", "c"]) == {1}
    assert changed_lines(["a", "b "], ["a", "b"]) == frozenset()
    assert changed_lines(["a", "", "b"], ["a", "", "x", "b"]) == {2}


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("The bug is in `return m - n`: it takes n away.", {6}),
        ("Look at line 7.", {6}),
        ("Lines 6 and 7 are wrong.", {5, 6}),
        ("The bug in lines 1 to 7 is somewhere.", set()),
        ("```python\n    m = n + n\n```\nis fine", {5}),
        ("```python\n" + TASK.buggy + "```\n", set()),
        ("`7 |     return m - n`", {6}),
        ("`return m` would be right, `n` is a name", {6}),
        ("Something is wrong.", set()),
    ],
)
def test_lines_are_named_by_number_or_by_quoting_them(words: str, lines: set[int]) -> None:
    """All of the code again names none of its lines."""
    assert named_lines(words, TASK.buggy.split("\n")) == lines
    assert names_change(words, TASK.buggy.split("\n"), TASK.changed) is (6 in lines)


def test_a_raw_answer_is_its_first_function_that_differs() -> None:
    """Whatever stands around it, and whichever imports it leaves out; an open fence is not yet one."""
    right = "def double(n):\n    return math.prod([2, n])\n"
    answer = f"You wrote\n```python\n{TASK.buggy}```\nbut it should be\n```python\n{right}```\n"
    code = code_of_answer(replace(TASK, buggy="import math\n" + TASK.buggy), answer)
    assert code is not None
    assert passes(TASK, code)
    assert code_of_answer(TASK, answer.removesuffix("```\n")) is None
    assert code_of_answer(TASK, "It is fine.") is None


async def test_a_fix_is_ours_applied_and_tested() -> None:
    """The tests are nowhere in what the model reads."""
    engine = chat(FIXED)
    found = await measure_fix(engine, TASK, QUICK)
    assert (found.offered, found.applies, found.parses, found.passes) == (True, True, True, True)
    assert found.edited == 2
    assert "check(" not in engine.asked[0].text
    wrong = await measure_fix(chat("n):\n    m = n + n\n    return m + n\n```"), TASK, QUICK)
    assert (wrong.offered, wrong.parses, wrong.passes) == (True, True, False)
    same = "n):\n    m = n + n\n    return m - n\n```"
    none = await measure_fix(chat(same, same.removeprefix("n):\n")), TASK, QUICK)
    assert not none.offered
    assert "nothing was changed" in none.refused


async def test_an_explanation_is_read_for_the_line() -> None:
    """And its citations are counted."""
    words = "`double.py`: `return m - n` takes n away, as `other.py`: `no such line` does not."
    found = await measure_explain(chat(words), TASK, QUICK)
    assert found.names
    assert found.lines == (6,)
    assert (found.made, found.found) == (2, 1)


async def test_the_baseline_gets_the_code_alone_and_the_same_budget() -> None:
    """One plain chat turn, which may be as long as both of our answers."""
    engine = chat("Sure:\n```python\ndef double(n):\n    return 2 * n\n```\nand so on, and so on")
    found = await measure_raw(engine, TASK, QUICK)
    assert (found.proposed, found.parses, found.passes) == (True, True, True)
    assert not found.words.endswith("so on")
    (asked,) = engine.asked
    assert asked.text == (
        f"<|turn>user\nFind and fix the bug in this Python code.\n\n```python\n{TASK.buggy}```<turn|>\n<|turn>model\n"
    )
    assert asked.options.max_tokens == found.limit
    with pytest.raises(TasksError, match="chat template"):
        await measure_raw(ScriptedEngine("x"), TASK, QUICK)


def test_a_run_is_written_and_taken_up_again(tmp_path: Path) -> None:
    """What is in the file is not measured again, unless it is named; something else in the file is an error."""
    tasks, out, said = tmp_path / "tasks.jsonl", tmp_path / "out.json", list[str]()
    tasks.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "task_id": "T/1"}) + "\n", encoding="utf-8")
    options = ExplainOptions(tasks=tasks, n=1, parts=("fix",), json_to=out, settings=QUICK)
    first = run_explain(options, lambda n_ctx: chat(FIXED), said.append)
    assert [row.fix is not None for row in first.rows.values()] == [True]
    assert any("1 of 1" in text for text in said)
    said.clear()
    more = run_explain(replace(options, n=0), lambda n_ctx: chat(FIXED), said.append)
    assert {row.fix is not None for row in more.rows.values()} == {True}
    assert sum("fix" in text for text in said) == 1
    said.clear()
    run_explain(replace(options, n=0, again=("fix",)), lambda n_ctx: chat(FIXED), said.append)
    assert sum("fix" in text for text in said) == 2
    assert read_rows(json.loads(out.read_text(encoding="utf-8"))["rows"]) == more.rows
    out.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="something else"):
        run_explain(options, lambda n_ctx: chat(FIXED), said.append)


def raw(passed: bool) -> RawResult:
    return RawResult(
        proposed=True, parses=True, passes=passed, names=False, lines=(), generated=9, limit=99, ms=1.0, words="w"
    )


def test_the_sums_say_how_sure_they_are() -> None:
    """Shares with intervals, and a paired comparison; a table for a person."""
    rows = {
        str(n): Row(
            task=str(n),
            n_lines=10,
            changed=(3,),
            fix=FixResult(offered=True, applies=True, parses=True, passes=n < 12),
            raw=raw(n < 6),
        )
        for n in range(20)
    }
    report = ExplainReport(about={"model": "m", "threads": 1, "tasks": "t"}, rows=rows)
    sums = report.sums()
    assert sums["fix"]["passes"] == {"n": 12, "of": 20, "share": 0.6, "interval": [0.3866, 0.7812]}
    found = sums["paired"]["fix_passes"]
    assert (found["first_only"], found["second_only"], found["ratio"]) == (6, 0, 2.0)
    assert 0 < found["difference_interval"][0] < 0.3 < found["difference_interval"][1]
    assert found["p"] == pytest.approx(2 / 2**6, abs=1e-4)
    assert sums["paired"]["explain_names"] is None
    out = io.StringIO()
    print_explain(Console(file=out, width=200), report)
    assert "12 of 20, 60.0% [38.7%, 78.1%]" in out.getvalue()
    assert "passing fixes: 2.00 times" in out.getvalue()


def test_nothing_measured_is_no_number() -> None:
    """Nor is a ratio to nothing."""
    assert paired([], []) is None
    assert Share(0, 0).interval == (0.0, 1.0)
    found = paired([True], [False])
    assert found is not None
    assert found.ratio is None
    assert share([True, False]).value == 0.5
