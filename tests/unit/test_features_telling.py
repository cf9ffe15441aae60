"""Thoughts and the answer after them, where the engine goes on for a moment after it was told to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Delta, Finished
from gemma_lsp.features.actions.explain import ExplainRequest, explain
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.text import Span
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine, scripted_model

LONG = "<|channel>thought\nIt may be empty, or it may hold something that is no number at all; which of the two, "


class LateEngine(ScriptedEngine):
    """Of its first answer, says some more after it was asked to stop."""

    def __init__(self, late: str) -> None:
        super().__init__("divides by zero.", model=scripted_model("chat"))
        self.late = late

    async def generate(
        self, workspace: str, prompt: Prompt, options: GenerateOptions
    ) -> AsyncIterator[Delta | Finished]:
        if self.asked:
            async for event in super().generate(workspace, prompt, options):
                yield event
            return
        async for event in ScriptedEngine(LONG, model=self.model, piece=1000).generate(workspace, prompt, options):
            yield replace(event, text=LONG + self.late, reason="cancelled") if isinstance(event, Finished) else event
            if isinstance(event, Delta):
                self.asked.append(None)  # type: ignore[arg-type]
                assert options.enough is not None
                assert options.enough(LONG)
                yield Delta(id="1", text=self.late)


@pytest.mark.parametrize(
    ("late", "thoughts"), [("I ", "which of the two, I"), ("I say.<channel|>It ", "which of the two, I say.")]
)
async def test_what_comes_late_is_thought_or_answered(late: str, thoughts: str) -> None:
    """Nothing of it is lost, and the answer is whole."""
    case = Case(name="", source="", files={"a.py": "def f(a):\n    return 1 / a\n"}, path="a.py", offset=0)
    engine = LateEngine(late)
    ctx = context_for(case, engine)
    ctx = replace(ctx, settings=replace(ctx.settings, explain=replace(ctx.settings.explain, thinking_tokens=20)))
    told = await explain(ctx, ExplainRequest(path="a.py", span=Span(12, 24)), lambda delta: None)
    assert told.thinking.endswith(thoughts)
    assert told.words == ("It " if "It" in late else "") + "divides by zero."
    said = engine.asked[-1].text
    assert said.count("<channel|>") == 1
    assert said.endswith(("<channel|>It ", "which of the two, I <channel|>"))
    marks = [segment.text for segment in engine.asked[-1].prompt if segment.special][-2:]
    assert marks == ["<|channel>thought\n", "<channel|>"]


async def test_second_thoughts_are_no_reason_to_answer_again() -> None:
    """Once it has said something, the model has answered, whatever it thinks of that."""
    case = Case(name="", source="", files={"a.py": "def f(a):\n    return 1 / a\n"}, path="a.py", offset=0)
    words = "<|channel>thought\nHm.<channel|>It divides by zero.<|channel>thought\nIs that all?"
    engine = ScriptedEngine(words, model=scripted_model("chat"))
    told = await explain(context_for(case, engine), ExplainRequest(path="a.py", span=Span(12, 24)), lambda delta: None)
    assert told.words == "It divides by zero."
    assert len(engine.asked) == 1
