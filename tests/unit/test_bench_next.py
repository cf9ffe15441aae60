"""Next-line tasks over a tiny git history and the fake backend: what is asked, what is shown, what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.bench.complete.history import Context, Scene, file_alone, nlls_per_char, unforced
from gemma_lsp.bench.complete.local import DriverClient
from gemma_lsp.bench.complete.next import Asked, next_lines
from gemma_lsp.bench.complete.run import Completed, NextOptions, run_next
from gemma_lsp.bench.complete.types import Arm
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import Editing, TokenCounter
from gemma_lsp.bench.history import read_history
from gemma_lsp.cli import app
from gemma_lsp.engine.client import Around, GenerateOptions
from gemma_lsp.generate.answers import gather
from gemma_lsp.prompt.hole import HOLE_CHARS, open_hole
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text
from tests.support.histories import commits
from tests.support.scoring import ScoringFake, load, silent

RATES = "LIMIT = 30\n\n\ndef rate(kg):\n    base = kg * 2\n    return base\n"
MORE = RATES + "\n\ndef quote(kg):\n    price = rate(kg) + 1\n    return price\n"
USER = "from rates import quote\n\n\ndef show(kg):\n    print(quote(kg))\n"
VERSIONS = ({"rates.py": RATES, "use.py": ""}, {"rates.py": MORE}, {"use.py": USER})


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits: a module, a function more in it, a user of both."""
    return commits(tmp_path_factory.mktemp("rates"), VERSIONS)


def script_of(history: Path, *, seed: int = 0, n: int = 0) -> list[Asked]:
    return next_lines(read_history(history), n=n, seed=seed)


def test_a_task_is_a_half_typed_hunk(history: Path) -> None:
    """The cursor stands on an empty line; the truth and what upstream wrote behind it stand nowhere."""
    seen = set()
    for seed in range(12):
        for asked in script_of(history, seed=seed):
            for task in asked.tasks:
                content = task.text.content
                assert content[task.offset] == "\n"
                assert content[: task.offset].endswith("\n")
                assert asked.commit.hunks[task.hunk].inserted.count(task.truth) == 1
                assert task.truth not in content
                seen.add(task.truth)
    assert "    price = rate(kg) + 1" in seen
    assert "from rates import quote" not in seen  # nothing can be known about a file's first line


def test_the_same_seed_asks_the_same(history: Path) -> None:
    """Tasks are chosen by the seed, and every commit stays in the script."""
    assert script_of(history, seed=3) == script_of(history, seed=3)
    assert [len(asked.tasks) for asked in script_of(history)] == [1, 1]
    assert sum(len(asked.tasks) for asked in script_of(history, n=1)) == 1


def test_both_contexts_are_asked_and_measured(history: Path, tmp_path: Path) -> None:
    """The repository is seen in one arm only; a second run with the same results measures nothing anew."""
    options = NextOptions(repo=history, n_ctx=4096, json_to=tmp_path / "out.json")
    found = run_next(options, load, silent)
    assert [(row.arm, row.nll is not None) for row in found.rows] == [(Arm.REPO, True), (Arm.FILE, True)] * 2
    assert {c.what for c in found.comparisons} == {"nll", "similarity", "exact"}
    by_arm = {row.arm: row.prompt for row in found.rows if "use.py" in row.task}
    assert by_arm[Arm.REPO] > by_arm[Arm.FILE]
    again: Completed = run_next(options, load, silent)
    assert again.rows == found.rows


def test_more_around_the_cursor_goes_with_the_repository(history: Path) -> None:
    """The whole module stands in its own order behind the body, and nothing of it in the body."""
    found = run_next(NextOptions(repo=history, n_ctx=4096, contexts=(Context.REPO, Context.WIDE)), load, silent)
    assert [row.arm for row in found.rows] == [Arm.REPO, Arm.WIDE] * 2
    assert {(c.first, c.second) for c in found.comparisons} == {(Arm.WIDE, Arm.REPO), (Arm.REPO, Arm.MODEL)}


def test_the_truth_is_the_whole_line() -> None:
    """What is certain of a line is not read before it; what stands above it, and a marker before it, are."""
    above, mark = Segment(Region.HOLE, "def f():\n"), Segment(Region.REQUEST, "<middle>", special=True)
    for before, after in (
        ((Segment(Region.HOLE, "def f():\n    x"),), (above,)),
        ((above, mark, Segment(Region.REQUEST, "    x")), (above, mark)),
        ((above, mark), (above, mark)),
        ((above,), (above,)),
        ((), ()),
    ):
        assert unforced(before) == after


async def test_what_is_remembered_makes_its_text_likelier() -> None:
    """And what it does not say a little less likely; without anything remembered both numbers are the same."""
    driver = Driver(ScoringFake(n_ctx=1024, n_slice=64))
    client = DriverClient(driver, driver.backend.info)
    line = "weight = scale(parcel)"
    await client.learn("m", [Segment(Region.BODY, f"# {n}\n    {line}\n") for n in range(5)])
    prompt = (Segment(Region.HOLE, "def f():\n    weight"),)
    recall = client.recall(Around(memory="m", before=prompt))
    for truth, likelier in ((" = scale(parcel)", True), ("zq", False)):
        found = nlls_per_char(driver, "w", prompt, truth, recall)
        alone = nlls_per_char(driver, "w", prompt, truth, None)
        assert found is not None
        assert alone is not None
        assert alone[0] == pytest.approx(alone[1], rel=1e-5)
        assert found[1] == pytest.approx(alone[1], rel=1e-5)
        assert (found[0] < found[1]) == likelier
    assert client.recall(Around(memory="another", before=prompt)) is None


def test_the_hole_is_as_wide_as_its_frame_says() -> None:
    """Each statement stands in the tail if there is room, and in the body if there is not."""
    parsed = parse("a.py", Text("".join(f"def f{n}():\n    return {n} + {n}\n\n\n" for n in range(200))))
    at = len(parsed.text.content) // 2
    near, wide = open_hole(parsed, at), open_hole(parsed, at, 4_000)
    assert 0 < len(near.span) <= HOLE_CHARS < len(wide.span) <= 4_000
    assert wide.span.start < near.span.start < near.span.end < wide.span.end


def test_the_file_alone_is_shown_in_its_own_order(history: Path) -> None:
    """Without a repository nothing is taken out of the file."""
    read = read_history(history)
    driver = Driver(ScoringFake(n_ctx=4096, n_slice=64))
    editing = Editing(read, driver.backend.info, TokenCounter(driver.backend.tokenize))
    scene = Scene(driver=driver, client=DriverClient(driver, driver.backend.info), editing=editing)
    task = script_of(history)[0].tasks[0]
    resident = file_alone(scene, task)
    assert resident.hole is not None
    assert resident.hole.span.start == 0
    assert resident.head() == editing.frame.head


async def test_an_answer_of_the_driver_is_the_engines() -> None:
    """It stops where it was told to, at the limit, or where it is enough."""
    driver = Driver(ScoringFake(n_ctx=1024, n_slice=64, script={"say: ": "one two\nthree"}))
    client = DriverClient(driver, driver.backend.info)
    prompt = (Segment(Region.REQUEST, "say: "),)
    answer = await gather(client, "w", prompt, GenerateOptions(stop=("\n",)))
    assert (answer.text, answer.reason) == ("one two", "stop")
    assert (await gather(client, "w", prompt, GenerateOptions(max_tokens=3))).text == "one"
    assert client.last == prompt


def test_the_command_wants_one_source_of_tasks() -> None:
    """Neither both nor none."""
    done = CliRunner().invoke(app, ["bench", "complete"])
    assert done.exit_code == 2
    assert "either" in done.output
