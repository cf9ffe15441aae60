"""The bench over a tiny git history and the fake backend: what is replayed, what it costs, how true it stays."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench import cache_check, plotting
from gemma_lsp.bench.cache_check import CacheReport, check_cache
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import COMPARED, Arm, Editing, TokenCounter
from gemma_lsp.bench.history import HistoryError, read_history
from gemma_lsp.bench.replay import costs as replay
from gemma_lsp.bench.replay import plot
from gemma_lsp.bench.replay.fidelity import kl
from gemma_lsp.bench.replay.moments import script_of
from gemma_lsp.bench.replay.report import About, Report, spread, verdict
from gemma_lsp.bench.replay.run import BenchOptions, run_bench
from gemma_lsp.bench.session import LoadOptions
from gemma_lsp.cli import doctor_cache
from gemma_lsp.cli.bench.replay import print_report
from gemma_lsp.kv.plan import Capabilities
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from tests.support.histories import commits
from tests.support.scoring import ScoringFake, load, silent

RATES = '"""Rates."""\n\nLIMIT = 30\n\n\ndef rate(kg):\n    base = kg * 2\n    return base\n'
QUOTES = "from shop.rates import rate\n\n\ndef quote(kg):\n    return rate(kg) + 1\n"
MORE = "\n\ndef quotes(all_kg):\n    return [quote(kg) for kg in all_kg]\n"
LAST = "def last():\n    return 2\n\n\ndef very_last():\n    return 3\n"
# More than a planner would rather evaluate again than leave with a mask in its memory.
USER = "from shop.quotes import quote\nfrom shop.rates import rate\n\n\ndef use():\n" + "    quote(rate(1))\n" * 30
VERSIONS: tuple[dict[str, str | None], ...] = (
    {
        "shop/rates.py": RATES,
        "shop/quotes.py": QUOTES,
        "shop/zz.py": LAST,
        "shop/use.py": USER,
        "README.md": "# Shop\n",
    },
    {"shop/rates.py": RATES.replace("kg * 2", "kg * 3").replace("LIMIT = 30", "LIMIT = 31\nLEAST = 1")},
    {"shop/quotes.py": QUOTES + MORE},
    {"README.md": "# The shop\n"},
    {"shop/zz.py": None, "shop/new.py": "def fresh():\n    return 1\r\n"},
)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five commits, four of which change Python files."""
    return commits(tmp_path_factory.mktemp("shop"), VERSIONS)


def editing_of(repo: Path) -> Editing:
    backend = ScoringFake(n_ctx=8192)
    return Editing(read_history(repo), backend.info, TokenCounter(backend.tokenize))


def text_of(prompt: Prompt) -> str:
    return "".join(segment.visible for segment in prompt)


def test_history_is_hunks_in_file_order(repo: Path) -> None:
    """Every commit after the first that changes Python becomes hunks, top to bottom, that lead to its very text."""
    history = read_history(repo)
    assert [c.title for c in history.commits] == ["step 1", "step 2", "step 4"]
    assert set(history.files) == set(VERSIONS[0])
    first, second = history.commits[0].hunks
    assert (first.path, first.inserted) == ("shop/rates.py", "LIMIT = 31\nLEAST = 1\n")
    assert first.text
    assert first.text.slice(first.span) == first.inserted
    assert second.inserted == "    base = kg * 3\n"
    assert second.text
    assert second.text.content == VERSIONS[1]["shop/rates.py"]


def test_a_history_adds_and_removes_files(repo: Path) -> None:
    """A new file is one edit with '\\n' line ends, a removed one has no text, and other kinds of files do not move."""
    last = read_history(repo).commits[-1]
    assert [(h.path, h.text.content if h.text else None) for h in last.hunks] == [
        ("shop/new.py", "def fresh():\n    return 1\n"),
        ("shop/zz.py", None),
    ]


def test_a_range_limits_the_history(repo: Path) -> None:
    """A range is replayed from its beginning, as far as the steps go; without one the last commits are."""
    assert [c.title for c in read_history(repo, rev="HEAD~4..HEAD", steps=2).commits] == ["step 1", "step 2"]
    assert [c.title for c in read_history(repo, steps=2).commits] == ["step 2", "step 4"]


@pytest.mark.parametrize("rev", ["HEAD..HEAD", "no-such..revision"])
def test_no_history_says_what_to_do(repo: Path, rev: str) -> None:
    """A range without commits, or one that git does not know, is an error that names the option."""
    with pytest.raises(HistoryError, match=r"--rev A\.\.B"):
        read_history(repo, rev=rev)


def test_each_arm_has_its_own_text(repo: Path) -> None:
    """After a commit elsewhere errata tell the new text, the recomputed body holds it in place."""
    script = script_of(editing_of(repo), read_history(repo).commits)
    heads = {arm: text_of(head) for arm, head in script.moments[1].question.heads.items()}
    assert [moment.path for moment in script.moments] == ["shop/rates.py", "shop/quotes.py", "shop/new.py"]
    assert heads[Arm.ERRATA].count("kg * 3") == heads[Arm.RECOMPUTE].count("kg * 3") == 1
    assert "kg * 2" not in heads[Arm.ERRATA] + heads[Arm.RECOMPUTE]
    assert "(changed)" in heads[Arm.ERRATA]
    assert "(changed)" not in heads[Arm.RECOMPUTE]
    assert "kg * 2" in heads[Arm.STALE]
    assert "kg * 3" not in heads[Arm.STALE]


def test_the_question_stands_where_the_hunk_begins(repo: Path) -> None:
    """The text before the cursor is given, the truth is what upstream wrote, and no arm shows it."""
    question = script_of(editing_of(repo), read_history(repo).commits).moments[1].question
    assert question.truth.startswith("\n\ndef quotes(all_kg):\n")
    assert text_of(question.tail).endswith("return rate(kg) + 1\n")
    assert all("def quotes" not in text_of(head) for head in question.heads.values())


def test_costs_are_those_of_the_engine(repo: Path) -> None:
    """Errata wait for what changed alone, recomputing for the body behind it, stale for nothing but its tail."""
    report = run_bench(BenchOptions(repo=repo, fidelity=False), load, silent)
    rows = {(row.arm, row.label.split(" ", 1)[1]): row for row in report.costs}
    assert len(rows) == 9
    ours, exact, stale = (rows[arm, "step 2"] for arm in COMPARED)
    assert ours.errata > 0
    assert ours.body == 0
    assert not ours.exact
    assert exact.body > 0
    assert exact.exact
    assert exact.hidden == exact.errata == 0
    assert stale.beyond == 0
    assert ours.prompt == ours.reused + ours.evaluated
    assert all(row.changed == len(MORE) for row in (ours, exact, stale))


def test_counting_gives_the_costs_of_computing(repo: Path) -> None:
    """Without arithmetic every step costs the very tokens that it costs with it, windowed cache or not."""
    for n_swa in (0, 64):

        def windowed(options: LoadOptions, n_swa: int = n_swa) -> ScoringFake:
            return ScoringFake(n_ctx=options.n_ctx, n_swa=n_swa, n_slice=64, n_trunks=options.n_trunks)

        computed = run_bench(BenchOptions(repo=repo, fidelity=False, n_ctx=4096), windowed, silent)
        counted = run_bench(BenchOptions(repo=repo, counting=True, n_ctx=4096), windowed, silent)
        untimed = [replace(row, first_token_ms=0) for row in computed.costs]
        assert [replace(row, first_token_ms=0) for row in counted.costs] == untimed
        assert not counted.fidelity


def test_fidelity_compares_with_the_recomputation(repo: Path) -> None:
    """The exact arm differs from itself by nothing, the others do, and the fake has no noise."""
    report = run_bench(BenchOptions(repo=repo), load, silent)
    total = report.fidelity_sum()
    assert total
    arms = {arm.arm: arm for arm in total.arms}
    assert total.questions == 3
    assert total.floor == 0
    assert arms[Arm.RECOMPUTE].closed == 1
    assert arms[Arm.STALE].closed == 0
    assert arms[Arm.ERRATA].kl_depending


def test_facts_are_told_to_every_arm_but_the_stale_one(repo: Path) -> None:
    """After each milestone all facts are asked for; every fact is in the errata, and in no tail."""
    report = run_bench(BenchOptions(repo=repo, steps=0, facts=3), load, silent)
    assert [(row.edits, row.fidelity.questions) for row in report.facts] == [(1, 1), (3, 3)]
    assert report.facts[0].errata < report.facts[1].errata
    assert not report.costs


def test_forked_trunks_hold_the_same(repo: Path) -> None:
    """A trunk that was given another's state goes on exactly as if it had evaluated the prompt itself."""
    prompt = tuple(Segment(Region.BODY, f"chunk {n}\n" * 5) for n in range(6))
    for n_swa in (0, 32):
        driver = Driver(ScoringFake(n_ctx=4096, n_swa=n_swa, n_slice=64, n_trunks=2))
        spent = driver.bring("one", prompt, exact=True)
        driver.fork("one", "two")
        assert driver.bring("two", prompt, exact=True) == 0 < spent
        question = (*prompt, Segment(Region.REQUEST, "and now"))
        rows = [driver.score(name, question, driver.tokens("truth"), exact=True) for name in ("one", "two")]
        assert np.array_equal(rows[0], rows[1])
        assert np.array_equal(rows[0], driver.score_singly("one", question, driver.tokens("truth"), exact=True))


def test_kl_is_the_textbooks() -> None:
    """In nats, by row: a coin that was thought fair and is not."""
    fair, biased = np.log([[0.5, 0.5]]).astype(np.float32), np.log([[0.9, 0.1]]).astype(np.float32)
    assert kl(biased, fair) == pytest.approx([0.9 * np.log(1.8) + 0.1 * np.log(0.2)], abs=1e-6)
    assert kl(fair, fair) == (0.0,)


def test_spread_is_median_and_95th_percentile() -> None:
    """Of 20 values the 19th is the one that 95 % do not exceed."""
    assert spread(list(range(1, 21))) == spread(list(range(20, 0, -1)))
    assert (spread(list(range(1, 21))).median, spread(list(range(1, 21))).p95) == (10.5, 19)
    assert spread([7]).p95 == 7


def test_the_report_is_one_json_document_and_a_page(repo: Path, tmp_path: Path) -> None:
    """Sums, verdict and every row go into the JSON; the page tells the sums in words; the plot is an SVG."""
    report = run_bench(BenchOptions(repo=repo, facts=2), load, silent)
    found = json.loads(json.dumps(report.to_json()))
    assert [len(found["rows"][kind]) for kind in ("cost", "fidelity", "facts")] == [9, 3, 2]
    assert found["verdict"] == list(verdict(report))
    assert "After 2 inserted facts" in found["verdict"][-1]
    page = io.StringIO()
    print_report(Console(file=page, width=160), report)
    assert "beyond the tail" in page.getvalue()
    assert all(line in page.getvalue() for line in verdict(report))
    plot.write_plot(report, tmp_path / "bench.svg")
    assert "<svg" in (tmp_path / "bench.svg").read_text()


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The extra is named."""

    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(plotting, "import_module", missing)
    about = About(repo="shop", rev="a..b", start="a", model="fake", build="", n_ctx=1, n_swa=0, threads=1)
    with pytest.raises(GemmaLspError, match="pip install"):
        plot.write_plot(Report(about=about), tmp_path / "bench.svg")


def test_nothing_to_replay_is_an_error(repo: Path) -> None:
    """Neither steps nor facts."""
    with pytest.raises(HistoryError, match="--steps or --facts"):
        run_bench(BenchOptions(repo=repo, steps=0), load, silent)


def test_what_would_keep_one_waiting_is_answered_from_the_file_alone(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And read afterwards, so that the next answer has it."""
    arms = (Arm.ERRATA, Arm.EARLY)
    options = BenchOptions(repo=repo, arms=arms, counting=True, n_ctx=4096)
    patient = run_bench(options, load, silent)
    told, early = ([row for row in patient.costs if row.arm == arm] for arm in arms)
    assert [row.beyond for row in told] == [row.beyond for row in early]
    assert not any(row.early for row in early)
    monkeypatch.setattr(replay, "EARLY_OVER", 8)
    hurried = [row for row in run_bench(options, load, silent).costs if row.arm == Arm.EARLY]
    assert any(row.early and row.errata == 0 and row.idle for row in hurried)
    assert "came from the file alone" in " ".join(verdict(run_bench(options, load, silent)))


def test_what_was_told_is_folded_as_the_server_does_it(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is new is read when nobody waits then, and no answer is told of it again."""
    for name, value in (("STALE_TOKENS", 0), ("FOLD_SHARE", 0.0), ("STALE_SHARE", 0.0)):
        monkeypatch.setattr(f"gemma_lsp.prompt.resident.{name}", value)
    monkeypatch.setattr("gemma_lsp.kv.splice.LEAST", 8)

    def movable(options: LoadOptions) -> ScoringFake:
        return load(replace(options, shifts=True))

    options = BenchOptions(repo=repo, arms=(Arm.EARLY,), counting=True, n_ctx=4096)
    anew, folded = (run_bench(replace(options, fold=fold), movable, silent).costs for fold in (False, True))
    assert [row.label for row in folded] == [row.label for row in anew]
    assert 0 < sum(row.idle for row in folded) < sum(row.idle for row in anew) / 2
    assert [row.errata for row in folded] == [row.errata for row in anew]


def test_an_order_by_path_is_an_arm_of_its_own(repo: Path) -> None:
    """It starts from its own order, is exact, and pays for what stands behind a change there."""
    arms = (Arm.RECOMPUTE, Arm.PATH_ORDER)
    report = run_bench(BenchOptions(repo=repo, arms=arms, counting=True, n_ctx=4096), load, silent)
    assert report.arms == arms
    assert all(row.exact for row in report.costs)
    assert any("in the order of their paths" in line for line in verdict(report))
    head = text_of(editing_of(repo).head(Arm.PATH_ORDER))
    headers = [line for line in head.splitlines() if line.startswith("### file: ")]
    assert headers == sorted(headers)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake has a token a byte, and counts the cells of each."""
    monkeypatch.setattr(cache_check, "_BODY_CHARS", 1000)
    monkeypatch.setattr(cache_check, "_PART_CHARS", 100)
    monkeypatch.setattr(cache_check, "_TAIL_CHARS", 500)


def checked(n_swa: int = 0) -> CacheReport:
    return check_cache(Driver(ScoringFake(n_ctx=100_000, n_swa=n_swa, n_slice=64, n_trunks=2)))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("n_swa", [0, 64])
def test_a_cached_answer_is_a_cold_one(n_swa: int) -> None:
    """Going back and showing again are exact; the fake's probabilities follow from all it saw, so a mask is not."""
    report = checked(n_swa)
    assert report.noise == 0
    assert {c.name: c.kl for c in report.checks if c.name != "masked"} == {"going back": 0, "shown again": 0}
    assert report.stale > 0
    written = io.StringIO()
    doctor_cache.print_report(Console(file=written, width=200), "a model", report)
    assert ("set engine.masks to false" in written.getvalue()) == (not report.ok)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("tried", [True, False])
@pytest.mark.parametrize("n_swa", [0, 64])
def test_what_is_spliced_in_is_compared_where_the_product_splices(n_swa: int, tried: bool) -> None:
    """The fake's moved cells are no cells that were read there, so the advice is given, for splices alone."""
    backend = ScoringFake(n_ctx=100_000, n_swa=n_swa, n_slice=64, n_trunks=2, can=Capabilities(shift=tried))
    report = check_cache(Driver(backend))
    checks = {check.name: check for check in report.checks}
    assert ("spliced in" in checks) == tried
    if tried:
        assert checks["spliced in"].kl > 0
        sound = replace(checks["masked"], kl=0.0)
        written = io.StringIO()
        only = replace(report, checks=(sound, replace(checks["spliced in"], limit=0.0)))
        doctor_cache.print_report(Console(file=written, width=200), "a model", only)
        assert "set engine.splices to false" in written.getvalue()
        assert "engine.masks" not in written.getvalue()


@pytest.mark.usefixtures("small")
def test_a_cache_that_goes_wrong_is_found() -> None:
    """A rewind that leaves something behind shows as a difference, with what to do about it."""

    class Forgetful(ScoringFake):
        def score(self, seq: int, position: int, tokens: Sequence[int]) -> NDArray[np.float32]:
            rows = super().score(seq, position, tokens)
            return rows if seq == 0 else rows[:, ::-1]

    report = check_cache(Driver(Forgetful(n_ctx=100_000, n_slice=64, n_trunks=2)))
    assert not report.ok
    assert not next(c for c in report.checks if c.name == "going back").ok
