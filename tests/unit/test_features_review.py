"""What reviews remember, and which actions are offered."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gemma_lsp.base.errors import EngineError
from gemma_lsp.config.schema import DiagnosticsSettings, Switch
from gemma_lsp.engine.messages import Priority
from gemma_lsp.features.actions import ACTIONS, Facts, offered_actions
from gemma_lsp.features.actions.explain import ExplainRequest, explain
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.diagnostics import fix_of, known_findings, review, review_enabled
from gemma_lsp.features.questions import ask
from gemma_lsp.text import Span, Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine, scripted_model

PATH = "shop/total.py"
CODE = "def mean(xs):\n    return sum(xs) / len(xs)\n\n\ndef last(xs):\n    return xs[-1]\n"
FOUND = json.dumps(
    {"findings": [{"quote": "/ len(xs)", "what": "empty list", "why": "", "severity": "error", "confidence": 90}]}
)
FIX = "xs):\n    return sum(xs) / max(1, len(xs))\n```"


def started(engine: ScriptedEngine) -> FeatureContext:
    return context_for(Case(name="", source="", files={PATH: CODE}), engine)


def changed(ctx: FeatureContext, code: str) -> FeatureContext:
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({PATH: Text(code)}))
    return replace(ctx, index=index, resident=ctx.resident.with_index(index, None))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(FOUND, FIX, '{"findings": []}', model=scripted_model("chat"))


async def test_a_definition_is_read_once(engine: ScriptedEngine) -> None:
    """Edits elsewhere in the file move a finding, and cost nothing."""
    ctx = started(engine)
    before = await review(ctx, PATH)
    after = await review(changed(ctx, "import math\n\n\n" + CODE), PATH)
    assert len(engine.asked) == 3
    assert after.cost.generated == 0
    moved = len("import math\n\n\n")
    assert [f.span for f in after.findings] == [Span(f.span.start + moved, f.span.end + moved) for f in before.findings]


async def test_a_changed_definition_is_read_again(engine: ScriptedEngine) -> None:
    """And its old finding is gone at once."""
    ctx = started(engine)
    await review(ctx, PATH)
    ctx = changed(ctx, CODE.replace("len(xs)", "max(1, len(xs))"))
    assert (await review(ctx, PATH, ())).findings == ()
    await review(ctx, PATH)
    assert len(engine.asked) == 4


async def test_what_was_changed_is_read_first(engine: ScriptedEngine) -> None:
    """Definitions that are not as they were when the repository was read come before the others."""
    ctx = changed(started(engine), CODE.replace("xs[-1]", "xs[-2]"))
    await review(ctx, PATH)
    assert "def last" in engine.asked[0].text.rpartition("Review this code")[2]
    assert "def mean" in engine.asked[-1].text.rpartition("Review this code")[2]


async def test_a_dismissed_finding_is_neither_confirmed_nor_given(engine: ScriptedEngine) -> None:
    """Its digest stays the same while its line does, whatever else changes."""
    ctx = started(engine)
    (found,) = (await review(ctx, PATH)).findings
    other = changed(ctx, "X = 1\n\n\n" + CODE.replace("def mean(xs):", "def mean(xs):\n    # all of them"))
    fresh = ScriptedEngine(FOUND, '{"findings": []}', model=scripted_model("chat"))
    assert (await review(replace(other, engine=fresh), PATH, {"mean"}, {found.digest})).findings == ()
    assert len(fresh.asked) == 1
    assert known_findings(ctx, PATH, {found.digest}) == ()


async def test_the_fix_of_a_finding_moves_with_it(engine: ScriptedEngine) -> None:
    """It applies wherever its definition went."""
    ctx = started(engine)
    await review(ctx, PATH)
    moved = changed(ctx, "import math\n\n\n" + CODE)
    (found,) = known_findings(moved, PATH)
    assert fix_of(moved, found).after.content == "import math\n\n\n" + CODE.replace("len(xs)", "max(1, len(xs))")


async def test_only_the_named_definitions_are_asked_about(engine: ScriptedEngine) -> None:
    """What is known of the others is given."""
    ctx = started(engine)
    assert len((await review(ctx, PATH, {"mean"})).findings) == 1
    assert len((await review(ctx, PATH, {"last"})).findings) == 1
    assert len(engine.asked) == 3


async def test_reviews_yield_to_everything_else(engine: ScriptedEngine) -> None:
    """The lowest priority of all answers, and a grammar that the answer must keep to."""
    await review(started(engine), PATH)
    assert {asked.options.priority for asked in engine.asked} == {Priority.DIAGNOSTICS}
    grammars = [asked.options.sampling.grammar.partition(" ")[0] for asked in engine.asked]
    assert grammars == ["root", "", "root"]


async def test_an_answer_that_goes_round_in_circles_is_ended() -> None:
    """A string in a grammar has no end of its own."""
    engine = ScriptedEngine('{"findings": [{"quote": "' + "x, " * 100, model=scripted_model("chat"))
    found = await review(started(engine), PATH, {"mean"})
    assert found.findings == ()
    assert found.cost.generated < 40


async def test_a_file_that_is_not_in_the_index_has_no_findings(engine: ScriptedEngine) -> None:
    """No model is asked about it."""
    assert (await review(started(engine), ".env")).findings == ()
    assert engine.asked == []


@pytest.mark.parametrize(
    ("switch", "kind", "enabled"),
    [("auto", "base", False), ("auto", "chat", True), ("on", "base", True), ("off", "chat", False)],
)
def test_who_is_reviewed_by_whom(switch: Switch, kind: str, enabled: bool) -> None:
    """By default only a model that follows instructions reviews."""
    ctx = started(ScriptedEngine("", model=scripted_model(kind)))
    ctx = replace(ctx, settings=replace(ctx.settings, diagnostics=DiagnosticsSettings(enabled=switch)))
    assert review_enabled(ctx) is enabled


FACTS = Facts(path=PATH, language="python", selected=False, symbol="", n_diagnostics=0)
FUNCTION = replace(FACTS, symbol="mean", function=True)
STUB = replace(FUNCTION, stub=True)


@pytest.mark.parametrize(
    ("facts", "ids"),
    [
        (FACTS, []),
        (replace(FACTS, selected=True), ["explain-bug", "fix-bug", "explain-code", "simplify"]),
        (replace(FACTS, symbol="Mean"), ["explain-bug", "explain-code", "docstring"]),
        (FUNCTION, ["explain-bug", "fix-bug", "explain-code", "docstring", "simplify", "annotate", "test"]),
        (
            replace(FUNCTION, annotated=True, test=True),
            ["explain-bug", "fix-bug", "explain-code", "docstring", "simplify"],
        ),
        (
            replace(FUNCTION, stub=True),
            ["explain-bug", "fix-bug", "explain-code", "implement", "docstring", "annotate"],
        ),
        (replace(FUNCTION, workable=False), ["explain-bug", "explain-code", "docstring"]),
        (
            replace(FUNCTION, stub=True, overload=True),
            ["explain-bug", "fix-bug", "explain-code", "docstring", "annotate"],
        ),
        (
            replace(STUB, apart=False, alone=False, documentable=False, path="a.pyi"),
            ["explain-bug", "fix-bug", "explain-code"],
        ),
        (
            replace(FUNCTION, stub=True, path="a.pyi"),
            ["explain-bug", "fix-bug", "explain-code", "docstring", "annotate"],
        ),
        (replace(FACTS, n_diagnostics=1), ["explain-bug", "fix-bug", "explain-diagnostic"]),
        (replace(FACTS, selected=True, language="text"), []),
    ],
)
def test_actions_are_offered_where_they_make_sense(facts: Facts, ids: list[str]) -> None:
    """The menu costs no model call: facts are all it needs."""
    assert [action.id for action in offered_actions(facts)] == ids


def test_action_ids_are_unique() -> None:
    """They name commands."""
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


async def test_a_file_outside_the_index_is_not_explained(engine: ScriptedEngine) -> None:
    """The message says what to do."""
    with pytest.raises(EngineError, match="save it inside the workspace folder"):
        await explain(started(engine), ExplainRequest(path="x.py", span=Span(0, 0)), lambda delta: None)


async def test_a_question_may_think_and_an_explanation_too(engine: ScriptedEngine) -> None:
    """Where the budget allows it; without one the thoughts are closed at once."""
    ctx = started(engine)
    await ask(ctx, "Why?", lambda delta: None)
    no_thoughts = replace(ctx, settings=replace(ctx.settings, explain=replace(ctx.settings.explain, thinking_tokens=0)))
    await ask(no_thoughts, "Why?", lambda delta: None)
    assert engine.asked[0].text.endswith("<|turn>model\n")
    assert engine.asked[1].text.endswith("<|turn>model\n<|channel>thought\n<channel|>")
    assert engine.asked[0].options.max_tokens > engine.asked[1].options.max_tokens
