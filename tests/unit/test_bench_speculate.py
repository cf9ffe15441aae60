"""The benches of guessed tokens and of typing, over a tiny repository and a fake engine."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.pace.speculate import (
    ELSEWHERE,
    OTHER,
    RENAME,
    REPEATING,
    SIBLING,
    TEST,
    Row,
    Speculated,
    SpeculateOptions,
    run_speculate,
)
from gemma_lsp.bench.pace.typing import Typed, TypingOptions, run_typing
from gemma_lsp.bench.session import LoadOptions
from gemma_lsp.cli.bench.speculate import print_speculated, print_typed
from tests.support.histories import commits

_LINES = "".join(f"    step_{n} = kg * {n} + len(name)\n" for n in range(9))
CODE = f'''"""Rates."""


def rate(kg, name):
{_LINES}    return step_8


class Desk:
    def quote(self, kg, name):
{_LINES.replace("    step", "        step")}        return step_8


def test_rate():
{_LINES.replace("kg", "3").replace("name", "'x'")}    assert step_1
'''


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    versions = ({"rates.py": CODE}, {"rates.py": CODE + "\n\nLIMIT = 30\n"})
    return commits(tmp_path_factory.mktemp("shop"), versions)


def load(options: LoadOptions) -> FakeBackend:
    return FakeBackend(n_ctx=options.n_ctx, n_slice=256)


def said(print_: object, found: object) -> str:
    out = Console(file=io.StringIO(), width=200)
    print_(out, found)  # type: ignore[operator]
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_each_answer_is_given_both_ways(repo: Path) -> None:
    """Functions under another name, methods, tests, and code of Python's own."""
    heard: list[str] = []
    options = SpeculateOptions(repo=repo, tasks=3, tokens=12, turns=2, n_ctx=8192)
    found = run_speculate(options, load, heard.append)  # type: ignore[arg-type]
    assert {row.kind for row in found.rows} == {RENAME, SIBLING, TEST, ELSEWHERE}
    assert all(len(row.plain_ms) == len(row.guessed_ms) == 2 for row in found.rows)
    assert all(row.same_text for row in found.rows)
    told = json.loads(json.dumps(found.to_json()))
    assert [s["group"] for s in told["sums"]] == [OTHER, RENAME, SIBLING, TEST, ELSEWHERE]
    assert told["about"]["repo"] == repo.name
    assert OTHER in said(print_speculated, found)
    assert any("sibling" in line for line in heard)


def test_a_repository_without_functions_cannot_be_repeated(tmp_path: Path, repo: Path) -> None:
    """It says so."""
    with pytest.raises(GemmaLspError, match="raise --n-ctx"):
        run_speculate(SpeculateOptions(repo=repo, n_ctx=1100), load, lambda text: None)  # type: ignore[arg-type]


def test_the_ratio_is_of_the_times_of_all() -> None:
    """One answer that takes long counts for more, the fastest turn counts, and the interval holds the ratio."""
    row = Row(
        kind=RENAME,
        name="f",
        tokens=20,
        plain_ms=(20.0, 90.0),
        guessed_ms=(10.0, 11.0),
        guessed=8,
        right=6,
        same_text=True,
        repeated=0.9,
    )
    slow = replace(row, plain_ms=(80.0,), guessed_ms=(80.0,), same_text=False)
    both, kind = Speculated(about={}, rows=(row, slow)).sums()
    assert (both.group, kind.group) == (REPEATING, RENAME)
    assert both.ratio == pytest.approx(100 / 90)
    assert both.low <= both.ratio <= both.high
    assert (both.met, both.same_text, both.guessed, both.right) == (False, 1, 16, 12)


def test_a_function_is_typed_again(repo: Path) -> None:
    """Each key asks, and what is suggested is typed along without asking."""
    heard: list[str] = []
    found = run_typing(TypingOptions(repo=repo, keys=5, n_ctx=8192), load, heard.append)  # type: ignore[arg-type]
    told = json.loads(json.dumps(found.to_json()))
    assert told["first_token_ms"]["n"] == 5
    assert told["evaluated_tokens"]["max"] < 400
    assert told["typed_along_ms"]["n"] >= 5
    assert heard[-1] == "typing along"


def test_steps_are_counted_in_decode_steps() -> None:
    """The first token's median by one step's."""
    found = Typed(
        about={"repo": "shop", "model": "m", "threads": 2, "resident_tokens": 8000},
        step_ms=20.0,
        first_token_ms=(60.0, 50.0, 90.0),
        answer_ms=(100.0,),
        evaluated=(3, 4, 5),
        along_ms=(0.5, 6.0),
    )
    assert found.steps == 3.0
    text = said(print_typed, found)
    assert "3.0 decode steps of 20 ms (at most 4: met)" in text
    assert "under 5: missed" in text
