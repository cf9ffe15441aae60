"""What is completed at a hundred places of fixtures/parcels, as a committed table: a change is seen in review.

The model is one that copies (tests/support/copying.py). `GEMMA_LSP_REGENERATE=1 pytest` writes the table anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gemma_lsp.bench.complete.ask import Asker, Said
from gemma_lsp.bench.complete.score import breaks, first_line, leaks, repeats_suffix
from gemma_lsp.features.memory import Learned
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import LayoutOptions, plan_layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot
from tests.support.copying import copied
from tests.support.scripted import ScriptedEngine, scripted_model

ROOT = Path(__file__).parents[2] / "fixtures" / "parcels"
TABLE = Path(__file__).parents[1] / "fixtures_text" / "completions"
REGENERATE = os.environ.get("GEMMA_LSP_REGENERATE") == "1"
EVERY = 29  # lines: a prime, so that places of all kinds come up
BUDGET = 6000


@dataclass(frozen=True, slots=True)
class Place:
    """A line that is missing, or of which the second half is."""

    path: str
    line: int
    column: int

    def cut(self, text: Text) -> tuple[str, str, str]:
        """What stands before the cursor and after it, and the truth."""
        lines = text.content.split("\n")
        line = lines[self.line]
        before = "\n".join((*lines[: self.line], line[: self.column]))
        return before, "\n" + "\n".join(lines[self.line + 1 :]), line[self.column :]


def places(index: Index) -> Iterator[Place]:
    """Lines that say something, spread over all files: every second one is half typed."""
    said = [
        (path, number, line)
        for path in sorted(index.files)
        for number, line in enumerate(index.files[path].text.content.split("\n"))
        if path.endswith(".py") and sum(c.isalnum() for c in line) > 5
    ]
    for n, (path, number, line) in enumerate(said[::EVERY]):
        indent = len(line) - len(line.lstrip())
        yield Place(path, number, indent + (len(line) - indent) // 2 if n % 2 else 0)


async def completed(kind: str, index: Index, resident: Resident, place: Place) -> str:
    """One line of the table."""
    before, after, truth = place.cut(index.files[place.path].text)
    edited = index.with_changes(index.snapshot.with_changes({place.path: Text(before + after)}))
    now = resident.with_index(edited, Focus(place.path, len(before)))
    model = scripted_model(kind)
    engine = ScriptedEngine(copied, model=model)
    learned = Learned({path: Segment(Region.BODY, file.text.content) for path, file in edited.files.items()})
    await engine.learn(learned.name, tuple(learned.files.values()))
    asker = Asker(client=engine, model=model, learned=learned)
    said = await asker.at(now, place.path, len(before), invoked=False)
    return told(place, before, after, truth, said)


def told(place: Place, before: str, after: str, truth: str, said: Said) -> str:
    """A line of the table: place, verdict, what is shown or why nothing is."""
    around = (before, said.text, after, truth)
    faults = [
        name
        for name, bad in (
            ("LEAKS", leaks(said.text)),
            ("TWICE", repeats_suffix(*around)),
            ("BREAKS", breaks(*around, lambda content: not parse(place.path, Text(content)).error_spans)),
        )
        if bad
    ]
    verdict = "right" if said.text and first_line(said.text) == first_line(truth) else "wrong" if said.text else "quiet"
    shown = repr(said.text) if said.text else said.reason
    return " ".join((f"{place.path}:{place.line + 1}:{place.column}", verdict, *faults, shown))


@pytest.mark.parametrize("kind", ["base", "chat", "fim"])
async def test_completions_are_those_of_the_table(kind: str) -> None:
    """Nothing leaks or stands there twice; everything else is for whoever reads the difference."""
    files = {p.relative_to(ROOT).as_posix(): Text(p.read_text(encoding="utf-8")) for p in sorted(ROOT.rglob("*.py"))}
    index = build(WorkspaceSnapshot(root=None, name="parcels", files=files))
    frame = frame_for(scripted_model(kind), "parcels")
    resident = Resident.start(plan_layout(index, LayoutOptions(budget_tokens=BUDGET)), index, frame)
    lines = [await completed(kind, index, resident, place) for place in places(index)]
    verdicts = [line.split(" ")[1] for line in lines]
    sums = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in ("right", "wrong", "quiet"))
    table = "\n".join((f"{kind}: {sums}", *lines)) + "\n"
    path = TABLE / f"{kind}.txt"
    if REGENERATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(table, encoding="utf-8")
    assert table == path.read_text(encoding="utf-8"), "completions changed; GEMMA_LSP_REGENERATE=1 writes the new ones"
    assert not any(fault in line.split(" ") for line in lines for fault in ("LEAKS", "TWICE"))
