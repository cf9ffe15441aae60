"""The arms that move cells, over a tiny repository and the fake backend: what they do and what it costs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import Arm, Editing, TokenCounter
from gemma_lsp.bench.history import read_history
from gemma_lsp.bench.replay.facts import functions_in_full, insert_line, quiet_file
from gemma_lsp.bench.replay.report import Report, verdict
from gemma_lsp.bench.replay.run import NO_SHIFT, BenchOptions, run_bench
from gemma_lsp.bench.replay.ways import FOLD_EVERY
from gemma_lsp.bench.session import LoadOptions
from gemma_lsp.cli.bench.common import numbers
from gemma_lsp.engine.backend import Aborted, ShiftFailed
from gemma_lsp.kv.plan import Capabilities
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from tests.support.scoring import ScoringFake, load, silent

RATE = "def rate(kg):\n    base = kg * 2\n    return base\n\n\n"
ONE = RATE + "def twice(kg):\n    both = rate(kg) * 2\n    return both\n"
TWO = "def quote(kg):\n    found = kg + 1\n    return found\n"
LAST = "def last():\n    n = 2\n    return n\n"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    for number, content in enumerate((ONE, ONE + "\n\nX = 1\n")):
        for name, text in (("a.py", content), ("b.py", TWO), ("c.py", LAST)):
            (root / name).write_text(text)
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", f"step {number}"]):
            subprocess.run(["git", *names, *args], cwd=root, check=True, capture_output=True, timeout=60)
    return root


@pytest.fixture
def editing(repo: Path) -> Editing:
    backend = ScoringFake(n_ctx=8192)
    return Editing(read_history(repo), backend.info, TokenCounter(backend.tokenize))


@pytest.fixture
def driver() -> Iterator[Driver]:
    found = Driver(ScoringFake(n_ctx=50_000, n_swa=32, n_slice=64, n_trunks=2, can=Capabilities(shift=True)))
    yield found
    found.close()


def text_of(prompt: Prompt) -> str:
    return "".join(segment.visible for segment in prompt)


def facts(repo: Path, n: int, *arms: Arm, rewarms: tuple[int, ...] = (8,)) -> Report:
    options = BenchOptions(repo=repo, steps=0, facts=n, arms=arms, rewarms=rewarms, behinds=(0,), milestones=())
    return run_bench(options, load, silent)


def test_a_folded_body_reads_like_a_recomputed_one(editing: Editing) -> None:
    """The arm is compared with the very same text."""
    home = functions_in_full(editing)[0]
    insert_line(editing, home[0], home[1], "LIMIT = 7\n")
    exact = editing.resident
    editing.look(quiet_file(editing), 0)
    recomputed = text_of(editing.head(Arm.RECOMPUTE))
    editing.resident = exact
    editing.fold()
    assert "LIMIT = 7" in text_of(editing.resident.whole)
    editing.look(quiet_file(editing), 0)
    assert text_of(editing.head(Arm.SPLICE)) == recomputed


def test_each_way_tells_what_it_evaluated(repo: Path) -> None:
    """A splice for every fact, or one fold after some of them, which leaves the last ones told."""
    report = facts(repo, FOLD_EVERY + 1, Arm.ERRATA, Arm.SPLICE, Arm.BOTH, rewarms=(0, 8))
    (row,) = report.facts
    assert list(row.spent) == ["recompute", "stale", "errata", "splice 0", "splice 8", "both"]
    assert row.spent["splice 0"].splices == FOLD_EVERY + 1
    assert 0 < row.spent["both"].splices <= FOLD_EVERY
    assert row.spent["splice 8"].inserted == row.spent["splice 0"].inserted
    assert row.spent["splice 8"].evaluated < row.spent["recompute"].evaluated
    assert row.spent["errata"].splices == 0
    assert row.spent["stale"].evaluated < row.spent["errata"].evaluated
    said = " ".join(verdict(report))
    assert "the arm splice 8 closes" in said
    assert "errata close" in said
    assert report.to_json()["facts"][0]["spent"]["both"]["splices"] == row.spent["both"].splices


def test_what_stands_behind_a_change_is_read_again(repo: Path) -> None:
    """As much as is asked for, each way for itself; one alone is the arm."""
    options = BenchOptions(repo=repo, steps=0, facts=2, arms=(Arm.SPLICE,), behinds=(0, 4), milestones=())
    (row,) = run_bench(options, load, silent).facts
    assert list(row.spent) == ["recompute", "stale", "splice +0", "splice +4"]
    assert row.spent["splice +4"].inserted == row.spent["splice +0"].inserted + 2 * 4
    (row,) = run_bench(replace(options, behinds=(4,)), load, silent).facts
    assert list(row.spent) == ["recompute", "stale", "splice"]


def test_a_model_whose_cells_cannot_be_moved_is_measured_without(repo: Path) -> None:
    """The other arms are, and the report says what is missing."""

    def rigid(options: LoadOptions) -> ScoringFake:
        return load(replace(options, shifts=False))

    options = BenchOptions(repo=repo, steps=0, facts=1, arms=(Arm.ERRATA, Arm.SPLICE))
    report = run_bench(options, rigid, silent)
    assert [a.arm for a in report.facts[0].fidelity.arms] == [Arm.RECOMPUTE, Arm.STALE, Arm.ERRATA]
    assert report.left_out == (NO_SHIFT,)


def body(*texts: str) -> Prompt:
    return tuple(Segment(Region.BODY, text) for text in texts)


LONG = "def area(width, height):\n    return width * height\n\n\n" * 4


def test_an_abort_between_two_splices_leaves_a_good_trunk(driver: Driver) -> None:
    """What was done stays; going on does the rest, and nothing else."""
    before, after = body("one\n", LONG, "two\n", LONG), body("one and a half\n", LONG, "two and more\n", LONG)
    driver.bring("a", before, exact=True)
    asked = [0]

    def abort() -> bool:
        asked[0] += 1
        return asked[0] > 2  # two for the first splice's window

    with pytest.raises(Aborted):
        driver.splice("a", after, 4, abort=abort)
    rest = driver.splice("a", after, 4)
    assert rest.splices == 1
    assert driver.bring("a", (*after, Segment(Region.HOLE, "typed")), exact=False) == len("typed")
    assert driver.splice("a", after, 4).splices == 0


def test_a_failed_shift_empties_every_trunk(driver: Driver) -> None:
    """The context is one; what the others held is gone with it and is read anew."""
    before, after = body("one\n", LONG), body("one and a half\n", LONG)
    for name in ("a", "b"):
        driver.bring(name, before, exact=True)
    assert isinstance(driver.backend, ScoringFake)
    driver.backend.fail_shifts = 1
    with pytest.raises(ShiftFailed):
        driver.splice("a", after, 4)
    assert driver.bring("b", before, exact=False) == len(driver.tokens(text_of(before))) + 1  # and BOS


def test_another_trunk_s_batches_are_not_forgotten(driver: Driver) -> None:
    """They may take sliding cells behind a window: what was there after the last batch proves nothing any more."""
    prompt = body(LONG, "x = 1\n" * 12)
    driver.bring("a", prompt, exact=True)
    ledger = driver._trunk("a").ledger
    driver.bring("b", body(LONG * 3), exact=True)
    backend = driver.backend
    assert isinstance(backend, ScoringFake)
    resident = backend.sliding(driver._trunk("a").seq) | backend.sliding(driver._trunk("a").sequences[2])
    assert {p for start, stop in ledger.sliding for p in range(start, stop)} <= resident


def test_numbers_are_given_with_commas() -> None:
    """Each once; anything else names the option."""
    assert numbers("0, 64,64", "--rewarm") == (0, 64)
    for wrong in ("", "a", "-1"):
        with pytest.raises(typer.BadParameter):
            numbers(wrong, "--rewarm")
