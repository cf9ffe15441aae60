"""A harder history than people write: one-line facts put into random functions, each asked for afterwards.

Nothing else in the repository says what a fact's value is, so an answer knows the edit or it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from gemma_lsp.bench.driver import Driver, LogProbs
from gemma_lsp.bench.editing import Arm, Editing
from gemma_lsp.bench.replay.fidelity import TRUTH_TOKENS, ArmScore, Fidelity, FidelityRow, kl, scored, summed_up
from gemma_lsp.bench.replay.ways import TRUNK, Keeper, Spent, Way
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
    """All facts so far asked after `edits` edits. `errata` and `prompt`: tokens of the errata arm.

    `spent`: what each way has evaluated since the start, the questions' tails left out.
    """

    edits: int
    errata: int
    prompt: int
    fidelity: Fidelity
    answers: tuple[FidelityRow, ...]
    spent: Mapping[str, Spent]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsOptions:
    """`n` facts; after each of `milestones`, and after the last, all of them are asked for."""

    n: int
    ways: tuple[Way, ...]
    milestones: tuple[int, ...] = MILESTONES
    seed: int = 0

    def asked(self, number: int) -> bool:
        """Whether the facts are asked for after so many edits."""
        return number == self.n or number in self.milestones


@dataclass(slots=True)
class _Answers:
    """One milestone while the ways go over it. `exact`: the rows that the others are compared with."""

    exact: dict[str, LogProbs] = field(default_factory=dict)
    floor: dict[str, tuple[float, ...]] = field(default_factory=dict)
    scores: dict[str, dict[str, ArmScore]] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)


def run_facts(
    driver: Driver, fresh: Callable[[], Editing], options: FactsOptions, say: Callable[[str], None]
) -> tuple[FactsRow, ...]:
    """Edits, and asks at the milestones, each way in turn. No new layout is made on the way.

    () where nothing stands in full, so that there is nowhere to put a fact.
    """
    editing = fresh()
    if not _homes(editing):
        return ()
    driver.bring(TRUNK, editing.resident.whole, exact=True)
    start = driver.saved(TRUNK)
    found: dict[int, _Answers] = {n: _Answers() for n in range(1, options.n + 1) if options.asked(n)}
    for way in options.ways:
        driver.restore(TRUNK, start)
        _go(driver, fresh(), options, way, found, say)
    return tuple(_row(edits, answers) for edits, answers in found.items())


def _go(
    driver: Driver,
    editing: Editing,
    options: FactsOptions,
    way: Way,
    found: dict[int, _Answers],
    say: Callable[[str], None],
) -> None:
    """One way from the first edit to the last question."""
    keeper, random, homes, quiet = (
        Keeper(driver, editing, way),
        Random(options.seed),
        _homes(editing),
        quiet_file(editing),
    )
    facts: dict[str, str] = {}
    for number in range(1, options.n + 1):
        name = f"{random.choice(_FIRST)}_{random.choice(_SECOND)}_{number}"
        facts[name] = str(random.randrange(1000, 9999))
        insert_line(editing, *random.choice(homes), f"{name} = {facts[name]}\n")
        keeper.edited()
        if options.asked(number):
            editing.look(quiet, len(editing.resident.index.files[quiet].text.content))
            say(f"facts: {way.label}, {number} of {options.n}")
            _ask(driver, editing, keeper, way, facts, found[number])


def _ask(
    driver: Driver, editing: Editing, keeper: Keeper, way: Way, facts: Mapping[str, str], answers: _Answers
) -> None:
    head = keeper.head(_tail(editing, next(iter(facts))))
    answers.spent[way.label] = keeper.spent()
    if way.arm is Arm.ERRATA or not any(answers.sizes):
        errata = tuple(e.segment for e in editing.resident.errata)
        answers.sizes = (editing.count.total(errata), editing.count.total(editing.head(Arm.ERRATA)))
    for name, value in facts.items():
        truth, tail = driver.tokens(value)[:TRUTH_TOKENS], _tail(editing, name)
        rows = keeper.ask(head, tail, truth)
        if way.arm is Arm.RECOMPUTE:
            answers.exact[name] = rows
            answers.floor[name] = kl(rows, driver.score_singly(TRUNK, (*head, *tail), truth, exact=True))
        answers.scores.setdefault(name, {})[way.label] = scored(answers.exact[name], rows, truth)


def _row(edits: int, answers: _Answers) -> FactsRow:
    rows = [
        FidelityRow(label=name, n_tokens=len(answers.floor[name]), arms=scores, floor=answers.floor[name])
        for name, scores in answers.scores.items()
    ]
    total = summed_up(rows)
    assert total is not None
    errata, prompt = answers.sizes
    return FactsRow(edits=edits, errata=errata, prompt=prompt, fidelity=total, answers=tuple(rows), spent=answers.spent)


def _homes(editing: Editing) -> list[tuple[str, str]]:
    """Functions that facts are put into: path and name."""
    return [home[:2] for home in functions_in_full(editing) if home[2] <= EARLY_SHARE]


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
