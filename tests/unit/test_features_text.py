"""Every feature on text fixtures, with a scripted model. `GEMMA_LSP_REGENERATE=1` writes what they now give."""

from __future__ import annotations

import json

import pytest

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions import edit_action, run_action
from gemma_lsp.features.actions.explain import ExplainRequest, Reported, explain
from gemma_lsp.features.completion import completion_items
from gemma_lsp.features.diagnostics import fix_of, review
from gemma_lsp.features.hover import hover
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.features.questions import ask
from tests.support.feature_cases import Case, case_names, check_case, context_for, engine_for, read_case


async def check_inline(case: Case) -> str:
    """The reason and, after a bar, each line that is offered."""
    request = InlineRequest(path=case.path, position=case.position, invoked=case.invoked)
    answer = await inline_completion(context_for(case, engine_for(case)), request)
    lines = [f"|{line}" for item in answer.items for line in item.text.split("\n")]
    assert all(item.span.start == item.span.end == case.offset for item in answer.items)
    return "\n".join((answer.reason, *lines))


async def check_completion(case: Case) -> str:
    """Word, label and, after a bar, each line to insert; then the documentation."""
    items = await completion_items(context_for(case, engine_for(case)), case.path, case.position, case.invoked)
    told = [
        "\n".join(
            (f"word {item.typed_word!r}", f"label {item.label!r}", *_barred(item.insert_text), item.documentation)
        )
        for item in items
    ]
    return "\n".join(told) or "nothing"


async def check_explain(case: Case) -> str:
    """What streamed, the thoughts, the document."""
    engine = engine_for(case)
    ctx = context_for(case, engine)
    reported = case.options.get("reported")
    diagnostics = (Reported(line=case.position.line, source="linter", message=reported),) if reported else ()
    heard: list[str] = []
    request = ExplainRequest(path=case.path, span=case.span, diagnostics=diagnostics)
    told = await explain(ctx, request, heard.append)
    return "\n".join(
        (
            *_barred("".join(heard)),
            f"thinking: {told.thinking!r}",
            f"citations: {[(c.path, c.line) for c in told.citations]}, dropped {told.dropped_citations}",
            told.markdown.rstrip("\n"),
        )
    )


async def check_edit(case: Case) -> str:
    """How often the model was asked, the file, and the edit as a diff; or why there is none."""
    engine = engine_for(case)
    ctx = context_for(case, engine)
    action = edit_action(case.options["action"])
    assert action is not None
    reported = case.options.get("reported")
    diagnostics = (Reported(line=case.position.line, source="linter", message=reported),) if reported else ()
    request = ExplainRequest(path=case.path, span=case.span, diagnostics=diagnostics)
    try:
        proposal = await run_action(ctx, action, request, lambda delta: None)
    except EditError as error:
        return f"asked {len(engine.asked)} times\nnothing: {error}"
    assert proposal.after.content == proposal.base.with_edits(proposal.edits).content
    again = await run_action(ctx, action, request, lambda delta: None)
    assert again is proposal
    return "\n".join((f"asked {len(engine.asked)} times", proposal.label, *_barred(proposal.diff())))


async def check_review(case: Case) -> str:
    """Each finding with the text that its span covers."""
    engine = engine_for(case)
    ctx = context_for(case, engine)
    found = await review(ctx, case.path)
    content = ctx.index.files[case.path].text.content
    for finding in found.findings:
        assert content[finding.span.start : finding.span.end] == finding.quoted
    lines = [
        f"{ctx.index.files[f.path].text.position(f.span.start).line + 1} {f.severity} {f.confidence} % "
        f"[{f.quoted}] {f.message}\n" + "\n".join(_barred(fix_of(ctx, f).diff()))
        for f in found.findings
    ]
    return "\n".join((f"asked {len(engine.asked)} times", *lines))


async def check_hover(case: Case) -> str:
    """The paragraph and the word that it is about; a second time nothing is asked."""
    engine = engine_for(case)
    ctx = context_for(case, engine)
    told = await hover(ctx, case.path, case.offset)
    again = await hover(ctx, case.path, case.offset)
    if told is None:
        return f"asked {len(engine.asked)} times\nnothing"
    assert again is not None
    assert (again.markdown, again.cost) == (told.markdown, None)
    word = ctx.index.files[case.path].text.slice(told.span)
    return f"asked {len(engine.asked)} times\n{word}: {told.markdown}"


async def check_ask(case: Case) -> str:
    """The document."""
    told = await ask(context_for(case, engine_for(case)), case.options["question"], lambda delta: None)
    return told.markdown.rstrip("\n")


async def check_prompts(case: Case) -> str:
    """What a completion and an explanation say to the model: segment by segment, from the hole on."""
    engine = engine_for(case)
    ctx = context_for(case, engine)
    await inline_completion(ctx, InlineRequest(path=case.path, position=case.position, invoked=True))
    await explain(ctx, ExplainRequest(path=case.path, span=case.span), lambda delta: None)
    told = []
    for asked in engine.asked:
        n_head = 0 if asked.options.alone else len(ctx.resident.head())
        assert asked.options.alone or asked.prompt[:n_head] == ctx.resident.head()
        told += [
            f"{s.region}{' special' if s.special else ''} {json.dumps(s.text, ensure_ascii=False)}"
            for s in asked.prompt[n_head:]
        ]
        told += ["alone"] if asked.options.alone else []
        told.append(f"heal {asked.options.heal}, stop {list(asked.options.stop)}")
    return "\n".join(told)


CHECKS = {
    "inline": check_inline,
    "completion": check_completion,
    "explain": check_explain,
    "edit": check_edit,
    "review": check_review,
    "ask": check_ask,
    "hover": check_hover,
    "prompts": check_prompts,
}


@pytest.mark.parametrize(("feature", "name"), [(feature, name) for feature in CHECKS for name in case_names(feature)])
async def test_feature(feature: str, name: str) -> None:
    """The fixture says what is shown."""
    case = read_case(feature, name)
    check_case(case, await CHECKS[feature](case))


def _barred(text: str) -> list[str]:
    return [f"|{line}" for line in text.split("\n")]
