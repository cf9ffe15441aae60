"""A harder history than people write: one-line facts put into random functions, each asked for afterwards.

Nothing else in the repository says what a fact's value is, so an answer knows the edit or it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import Arm, Editing, Question
from gemma_lsp.bench.replay.fidelity import Fidelity, FidelityRow, ask, start_all, summed_up
from gemma_lsp.prompt.completion_tails import Place, completion_tail, hole_tail
from gemma_lsp.prompt.layout import Form
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Edit, Span

MILESTONES = (1, 10, 30, 100)
EARLY_SHARE = 0.8  # of the body, by tokens: where facts are put
_ASKED_IN = "tests/test_limits.py"
_FIRST, _SECOND = ("ZORB", "QUIN", "MAXI", "VELT", "HUSK"), ("LIMIT", "RETRY", "DEPTH", "COUNT", "DELAY")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsRow:
    """All facts so far asked after `edits` edits. `errata` and `prompt`: tokens; `hidden`: masked in the errata arm."""

    edits: int
    errata: int
    prompt: int
    fidelity: Fidelity
    answers: tuple[FidelityRow, ...]


def run_facts(driver: Driver, editing: Editing, n: int, seed: int, say: Callable[[str], None]) -> tuple[FactsRow, ...]:
    """Edits, and asks at the milestones. No new layout is made on the way: errata and masks alone must carry it.

    () where nothing stands in full, so that there is nowhere to put a fact.
    """
    random, facts, rows = Random(seed), {}, []
    homes = [home[:2] for home in functions_in_full(editing) if home[2] <= EARLY_SHARE]
    if not homes:
        return ()
    quiet = quiet_file(editing)
    start_all(driver, editing.resident.head())
    for number in range(1, n + 1):
        name = f"{random.choice(_FIRST)}_{random.choice(_SECOND)}_{number}"
        facts[name] = str(random.randrange(1000, 9999))
        insert_line(editing, *random.choice(homes), f"{name} = {facts[name]}\n")
        if number in MILESTONES or number == n:
            editing.look(quiet, len(editing.resident.index.files[quiet].text.content))
            rows.append(_asked(driver, editing, facts, say))
    return tuple(rows)


def _asked(driver: Driver, editing: Editing, facts: Mapping[str, str], say: Callable[[str], None]) -> FactsRow:
    heads = {arm: editing.head(arm) for arm in Arm}
    answers = []
    for number, (name, value) in enumerate(facts.items(), 1):
        say(f"facts: {number} of {len(facts)} after {len(facts)} edits")
        row = ask(driver, Question(label=name, heads=heads, tail=_tail(editing, name), truth=value))
        assert row is not None
        answers.append(row)
    total = summed_up(answers)
    assert total is not None
    return FactsRow(
        edits=len(facts),
        errata=editing.count.total(tuple(e.segment for e in editing.resident.errata)),
        prompt=editing.count.total(heads[Arm.ERRATA]),
        fidelity=total,
        answers=tuple(answers),
    )


def _tail(editing: Editing, name: str) -> Prompt:
    """The question as a test that someone writes; the text that is out of the body is given back to every arm."""
    hole = editing.resident.hole
    held = hole_tail(hole.path, hole.text.slice(hole.span)) if hole else ()
    before = f"def test_{name.lower()}():\n    assert {name} == "
    return (*held, *completion_tail(editing.frame, Place(path=_ASKED_IN, before=before, after="\n")).segments)


def insert_line(editing: Editing, path: str, qualified: str, line: str) -> None:
    """Inserts one line at the start of a function's body, after its docstring, as deep as the body."""
    parsed = editing.resident.index.files[path]
    symbol = next(s for s in parsed.symbols if s.qualified == qualified)
    at = _first_line(parsed, symbol)
    content = parsed.text.content
    depth = content[at : len(content) - len(content[at:].lstrip(" "))]
    editing.edit(path, parsed.text.with_edits([Edit(Span(at, at), depth + line)]), at)


def _first_line(parsed: ParsedFile, symbol: Symbol) -> int:
    """Offset of the line on which the body's statements begin."""
    start = symbol.docstring.end if symbol.docstring else symbol.body.start
    position = parsed.text.position(start)
    return parsed.text.line_span(position.line + (1 if symbol.docstring else 0)).start


def functions_in_full(editing: Editing) -> list[tuple[str, str, float]]:
    """Functions that stand in full: path, name, and the share of the body, by tokens, that stands before them."""
    layout, files = editing.resident.layout, editing.resident.index.files
    found, seen = [], 0
    for entry in layout.entries:
        if entry.form is Form.FULL:
            length = max(1, len(files[entry.path].text.content))
            for s in _functions(files[entry.path]):
                share = (seen + entry.n_tokens * s.span.start / length) / max(1, layout.n_tokens)
                found.append((entry.path, s.qualified, share))
        seen += entry.n_tokens
    return found


def quiet_file(editing: Editing) -> str:
    """Where the cursor goes before the questions: the last file that stands in full, which no fact is put into."""
    return next(e.path for e in reversed(editing.resident.layout.entries) if e.form is Form.FULL)


def _functions(parsed: ParsedFile) -> Sequence[Symbol]:
    """Functions and methods whose body has lines of its own, by unique names."""
    names = [s.qualified for s in parsed.symbols]
    return [
        s
        for s in parsed.symbols
        if s.kind in (SymbolKind.FUNCTION, SymbolKind.METHOD)
        and names.count(s.qualified) == 1
        and not parsed.error_spans
        and _has_own_lines(parsed, s)
    ]


def _has_own_lines(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether a statement stands on a line after the signature and the docstring, inside the body."""
    return symbol.signature.end < _first_line(parsed, symbol) < symbol.body.end
