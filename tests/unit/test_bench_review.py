"""`bench review` over scripted models: claims against known bugs, the curve, the free evidence, and taking it up."""

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

from gemma_lsp.backends.fake import N_VOCAB, FakeBackend
from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.bugs.review import Piece, ReviewOptions, doubt_about, review_piece, run_review, twins_of
from gemma_lsp.bench.bugs.review_types import Claim, Doubt, Reviewed, ReviewReport, read_report, verdict_of
from gemma_lsp.cli.bench.review import print_review
from gemma_lsp.models.trust import UNKNOWN, judged, record, trust_in
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.unit.gguf_files import Gguf
from tests.unit.test_bench_explain import QUICK, ROW, TASK

WRONG, RIGHT = twins_of(TASK)
FINDING = {"quote": "return m - n", "what": "n is taken away", "why": "", "severity": "error", "confidence": 80}


def answers(asked: Asked) -> str:
    """Finds the bug where it is, and something that is none in every other function."""
    wrong = "return m - n" in asked.text
    if '"findings"' in asked.text:
        quote = "return m - n" if wrong else "return m"
        return json.dumps({"findings": [{**FINDING, "quote": quote, "confidence": 80 if wrong else 30}]})
    return "n):\n    m = n + n\n    return m + 0\n```"


def model() -> ScriptedEngine:
    return ScriptedEngine(answers, model=scripted_model("chat"))


class Surprised(FakeBackend):
    """The fake, to which every token but a minus is certain."""

    def score(self, seq: int, position: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.evaluate(seq, position, list(tokens), False, lambda: False)
        rows = np.full((len(tokens), N_VOCAB), -9.0, dtype=np.float32)
        rows[:, ord("-")] = -12.0
        return rows


async def test_claims_are_counted_before_and_after_the_second_look() -> None:
    """With the line that they are about, and whether that is the wrong one."""
    found = await review_piece(model(), WRONG, QUICK)
    (claim,) = found.claims
    assert (claim.line, claim.confidence, claim.hits, claim.confirmed, claim.covers) == (6, 80, True, True, True)
    found = await review_piece(model(), RIGHT, QUICK)
    (claim,) = found.claims
    assert (claim.line, claim.confidence, claim.hits, claim.covers) == (6, 30, False, True)
    assert found.n_functions == 1


def test_a_line_that_surprises_is_found(tmp_path: Path) -> None:
    """By what reading it gives for free; docstrings are no code."""
    backend = Surprised(n_ctx=4096)
    doubt = doubt_about(backend, WRONG)
    assert doubt.top == 6
    assert set(doubt.gaps) == {5, 6}
    calm = doubt_about(backend, RIGHT)
    assert calm.gaps[calm.top] < doubt.gaps[doubt.top]


def report(hits: int, misses: int, clean: int, stdlib: int | None = None) -> ReviewReport:
    """So many wrong twins with a hit, with a miss, right ones with an alarm, and alarms in a module of 1,000 lines."""
    made = ReviewReport(about={"model": "m"})
    claim = Claim(symbol="f", line=1, confidence=60, confirmed=True, covers=True, hits=True, message="x")

    def add(name: str, kind: str, claims: tuple[Claim, ...], lines: int = 10) -> None:
        row = Reviewed(name=name, kind=kind, n_lines=lines, n_functions=1, claims=claims, generated=1, ms=1.0)
        made.rows[f"{kind} {name}"] = row

    for n in range(hits):
        add(f"h{n}", "buggy", (claim, replace(claim, confidence=20, hits=False)))
    for n in range(misses):
        add(f"m{n}", "buggy", (replace(claim, confirmed=False),))
    for n in range(clean):
        add(f"c{n}", "clean", (replace(claim, hits=False),))
    if stdlib is not None:
        add("heapq", "stdlib", (replace(claim, hits=False),) * stdlib, 1000)
    return made


def test_the_threshold_is_the_lowest_that_is_precise_enough() -> None:
    """At 20 half of what is said is wrong, and more; at 60 it is not. What nobody confirmed is not published."""
    sums = report(4, 4, 3).sums()
    assert [point["threshold"] for point in sums["confirmed"]] == [20, 60]
    assert [point["published"] for point in sums["confirmed"]] == [11, 7]
    assert sums["confirmed"][1]["precision"]["n"] == sums["confirmed"][1]["found"] == 4
    assert sums["confirmed"][1]["of"] == 8
    assert sums["threshold"] == 60
    assert [point["published"] for point in sums["unconfirmed"]] == [15, 11]
    assert sums["covers"]["share"] == 1.0


def test_there_is_no_threshold_for_a_model_that_cries_wolf() -> None:
    """Too many alarms on the twins, too little found, or too many in code that works."""
    assert report(4, 4, 9).sums()["threshold"] is None
    assert report(1, 19, 0, stdlib=0).sums()["threshold"] is None
    assert report(4, 4, 0, stdlib=2).sums()["threshold"] is not None
    assert report(4, 4, 0, stdlib=3).sums()["threshold"] is None


def test_a_verdict_needs_twins_and_modules(tmp_path: Path) -> None:
    """And decides from then on whether the model's findings are shown, and from which confidence."""
    model_file, records = tmp_path / "model.gguf", tmp_path / "state" / "reviews.json"
    Gguf().write(model_file)
    assert verdict_of(report(4, 4, 3)) is None
    assert trust_in(model_file, records).reviews is False
    good = verdict_of(report(4, 4, 1, stdlib=1))
    assert good is not None
    record(model_file, good, records)
    assert trust_in(model_file, records) == judged(good, 32)
    assert (good.threshold, trust_in(model_file, records).least) == (60, 60)
    bad = verdict_of(report(4, 4, 9, stdlib=1))
    assert bad is not None
    record(model_file, bad, records)
    assert trust_in(model_file, records).reviews is False
    records.write_text("nonsense", encoding="utf-8")
    assert trust_in(model_file, records) == judged(None, 32)
    assert trust_in(tmp_path / "none.gguf", records) == UNKNOWN


def test_the_evidence_has_a_curve_of_its_own() -> None:
    """How often the most surprising line is the wrong one, and whether the wrong twin surprises more."""
    made = ReviewReport(about={})
    for n in range(4):
        made.doubts[f"buggy {n}"] = Doubt(name=str(n), kind="buggy", gaps={1: 0.5, 2: 3.0}, changed=(2 if n else 1,))
        made.doubts[f"clean {n}"] = Doubt(name=str(n), kind="clean", gaps={1: 0.5, 2: 1.0}, changed=())
    found = made.sums()["doubt"]
    assert (found["top_line"]["n"], found["top_line"]["of"], found["by_chance"]) == (3, 4, 0.5)
    assert found["twins"]["wrong_is_larger"]["n"] == 4
    assert found["curve"][-1]["published"] == 4
    assert read_report(json.loads(json.dumps(made.to_json()))).doubts == made.doubts


def test_a_run_is_written_and_taken_up_again(tmp_path: Path) -> None:
    """Twins, a module of this Python, and the evidence; then nothing is left to do."""
    tasks, out, said = tmp_path / "tasks.jsonl", tmp_path / "out.json", list[str]()
    tasks.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    options = ReviewOptions(tasks=tasks, modules=("bisect",), n_ctx=8192, json_to=out, settings=QUICK)
    first = run_review(options, lambda n: model(), lambda o: Surprised(n_ctx=o.n_ctx), said.append)
    assert set(first.rows) == {"buggy T/0", "clean T/0", "stdlib bisect"}
    assert set(first.doubts) == {"buggy T/0", "clean T/0"}
    assert first.rows["stdlib bisect"].n_functions == 4
    said.clear()
    again = run_review(options, lambda n: model(), lambda o: Surprised(n_ctx=o.n_ctx), said.append)
    assert said == []
    assert again.to_json() == first.to_json()
    shown = io.StringIO()
    print_review(Console(file=shown, width=200), again)
    assert "1 of 1, 100.0%" in shown.getvalue()
    out.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="something else"):
        run_review(options, lambda n: model(), lambda o: Surprised(n_ctx=o.n_ctx), said.append)


def test_modules_are_named_and_not_too_long() -> None:
    """Five thousand lines in all."""
    options = ReviewOptions(tasks=None, modules=("sys",), settings=QUICK)
    with pytest.raises(ConfigError, match="source"):
        run_review(options, lambda n: model(), lambda o: Surprised(n_ctx=o.n_ctx), print)
    many = replace(options, modules=("typing", "argparse", "inspect"))
    with pytest.raises(ConfigError, match="at most 5,000"):
        run_review(many, lambda n: model(), lambda o: Surprised(n_ctx=o.n_ctx), print)


def test_a_piece_knows_its_file() -> None:
    """Twins share one, so that nothing tells them apart but the code."""
    assert WRONG.path == RIGHT.path
    assert Piece(name="heapq", kind="stdlib", code="").path == "heapq.py"
