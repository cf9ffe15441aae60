"""What hover remembers; what it says is in tests/fixtures_text."""

from __future__ import annotations

from dataclasses import replace

from gemma_lsp.features.hover import hover
from gemma_lsp.prompt.layout import Layout
from gemma_lsp.prompt.resident import Resident
from tests.support.feature_cases import context_for, read_case
from tests.support.scripted import ScriptedEngine, scripted_model


async def test_what_was_said_without_the_repository_is_asked_again() -> None:
    """Once it is laid out, and then no more."""
    case = read_case("hover", "chat")
    engine = ScriptedEngine("It guesses.", "It knows.", model=scripted_model("chat"))
    known = context_for(case, engine)
    unknown = replace(known, resident=Resident.start(Layout((), 0, 0), known.index, known.frame))
    said = [await hover(ctx, case.path, case.offset) for ctx in (unknown, known, known)]
    assert [one and one.markdown for one in said] == ["It guesses.", "It knows.", "It knows."]
    assert len(engine.asked) == 2
