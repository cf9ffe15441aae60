"""Findings: the model reads one definition after the other, says which line is wrong, and proves it with a fix.

Every finding quotes a line that stands in the code, covers exactly that, and was confirmed by a correction that
parses and changes that line; whatever does not is dropped. A definition that was read is not read again until its text
changes, wherever it moves. Cancel points: every await.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from gemma_lsp.base.digest import digest_text
from gemma_lsp.base.errors import EditError
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.actions.confirm import confirmed_edits
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.features.markdown import plain
from gemma_lsp.features.memory import RelativeFinding
from gemma_lsp.generate.answers import Answer, gather, sum_costs
from gemma_lsp.generate.grammars import BECAUSE, json_findings, quoted_finding
from gemma_lsp.generate.presets import constrained
from gemma_lsp.generate.repetition import goes_round
from gemma_lsp.prompt.tails import Selection, review_tail
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Edit, Span

CODE = "possible-bug"
MAX_TOKENS_DOCUMENT = 64
MAX_TOKENS_JSON = 320
MAX_LINES = 150  # a longer definition is not reviewed: nobody gets a good answer about it
MESSAGE_CHARS = 200
MAX_CALLERS = 3
UNSAID = 50  # the confidence of a model that does not say it
_LEAST_QUOTE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`span` covers `quoted` in the file's text. `severity` is what the model said: error, warning or hint.

    `confidence` is the model's, in per cent. `edits` of the whole text are the fix that confirmed it. `digest` stays
    the same while the line and its definition's name do. `callers` are places, by path, that call the definition.
    """

    path: str
    span: Span
    quoted: str
    message: str
    severity: str
    confidence: int = UNSAID
    digest: str = ""
    edits: tuple[Edit, ...] = ()
    callers: tuple[tuple[str, Span], ...] = ()
    code: str = CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The findings of one file in the order of the text, and what asking for them cost now."""

    findings: tuple[Finding, ...]
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What was said of one definition and quotes it, before anybody looked again. `unwanted`: somebody stopped it."""

    findings: tuple[RelativeFinding, ...]
    cost: Cost
    unwanted: bool


def review_enabled(ctx: FeatureContext) -> bool:
    """Whether the settings want reviews at all; where they leave it open, what is known of the model decides."""
    switch = ctx.settings.diagnostics.enabled
    return switch == "on" or (switch == "auto" and ctx.frame.chat and ctx.trust.reviews)


def least_confidence(ctx: FeatureContext) -> int:
    """From which confidence on a claim is looked at again; `auto` asks no less than was measured to be of use."""
    wanted = ctx.settings.diagnostics
    return max(wanted.min_confidence, ctx.trust.least) if wanted.enabled == "auto" else wanted.min_confidence


async def review(
    ctx: FeatureContext, path: str, symbols: Collection[str] | None = None, hidden: Collection[str] = ()
) -> Review:
    """Reviews the functions and methods of a file, those that were changed first.

    With `symbols`, only those qualified names are asked about; findings of the others are given as far as they are
    known. Findings whose digest is in `hidden` are neither confirmed nor given. Raises `EngineError`.
    """
    parsed = ctx.index.files.get(path)
    cost = Cost()
    for symbol in _in_order_of_asking(ctx, parsed) if parsed else ():
        assert parsed is not None
        key = _key(ctx, parsed, symbol)
        if ctx.memory.reviews.get(key) is None and (symbols is None or symbol.qualified in symbols):
            claims = await claims_about(ctx, parsed, symbol)
            cost = sum_costs(cost, claims.cost)
            if claims.unwanted:
                break
            least = least_confidence(ctx)
            sure = [finding for finding in claims.findings if finding.confidence >= least]
            wanted = [finding for finding in sure if _digest(path, symbol, finding.quoted) not in hidden]
            kept, more = await confirmed(ctx, parsed, symbol, wanted)
            cost = sum_costs(cost, more)
            ctx.memory.reviews.put(key, kept)
    return Review(findings=known_findings(ctx, path, hidden), cost=cost)


def known_findings(ctx: FeatureContext, path: str, hidden: Collection[str] = ()) -> tuple[Finding, ...]:
    """What is known of a file as it reads now, as far as the settings want to see it; no model is asked."""
    parsed, limit = ctx.index.files.get(path), ctx.settings.diagnostics.max_per_file
    found: list[Finding] = []
    for symbol in reviewed(parsed) if parsed else ():
        assert parsed is not None
        known = ctx.memory.reviews.get(_key(ctx, parsed, symbol)) or ()
        found += [_placed(parsed, symbol, finding) for finding in known]
    shown = [finding for finding in found if finding.digest not in hidden][:limit]
    return tuple(replace(finding, callers=_callers(ctx, finding)) for finding in shown)


def fix_of(ctx: FeatureContext, finding: Finding) -> Proposal:
    """The edit that confirmed a finding."""
    base = ctx.index.files[finding.path].text
    return Proposal(path=finding.path, label=f"Fix: {finding.message}", base=base, edits=finding.edits)


def reviewed(parsed: ParsedFile) -> Iterator[Symbol]:
    """Functions and methods that are not inside another one."""
    end = 0
    for symbol in parsed.symbols:
        function = symbol.kind in (SymbolKind.FUNCTION, SymbolKind.METHOD)
        if function and symbol.span.start >= end:
            end = symbol.span.end
            if parsed.text.slice(symbol.span).count("\n") < MAX_LINES:
                yield symbol


def _in_order_of_asking(ctx: FeatureContext, parsed: ParsedFile) -> list[Symbol]:
    """Definitions that are not as they were when the repository was last read come first."""
    before = ctx.resident.base.files.get(parsed.path)
    known = {before.text.slice(symbol.span) for symbol in before.symbols} if before is not None else set()
    return sorted(reviewed(parsed), key=lambda symbol: parsed.text.slice(symbol.span) in known)


def _key(ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol) -> str:
    column = parsed.text.position(symbol.span.start).column
    how = (ctx.model.path, ctx.model.name, str(least_confidence(ctx)))
    return digest_text("\0".join((*how, symbol.qualified, str(column), parsed.text.slice(symbol.span))))


def _digest(path: str, symbol: Symbol, quoted: str) -> str:
    return digest_text("\0".join((path, symbol.qualified, " ".join(quoted.split()))))


async def claims_about(ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol) -> Claims:
    """What the model says about a definition when it is first asked. Raises `EngineError`."""
    answer = await _asked(ctx, parsed, symbol)
    findings = tuple(_findings(answer.text, parsed.text.slice(symbol.span), chat=ctx.frame.chat))
    return Claims(findings=findings, cost=answer.cost, unwanted=answer.unwanted)


async def _asked(ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol) -> Answer:
    text = parsed.text
    first, last = text.position(symbol.span.start).line, text.position(symbol.span.end).line
    lines = tuple(line for n in range(first, last + 1) if (line := text.line(n)) or n < last)
    selection = Selection(path=parsed.path, symbol=symbol.qualified, first_line=first + 1, lines=lines)
    tail = review_tail(ctx.frame, selection)
    grammar = json_findings() if ctx.frame.chat else quoted_finding(_quotable(parsed, symbol))
    options = GenerateOptions(
        priority=Priority.DIAGNOSTICS,
        max_tokens=MAX_TOKENS_JSON if ctx.frame.chat else MAX_TOKENS_DOCUMENT,
        stop=tail.stop,
        sampling=constrained(grammar),
        enough=goes_round,
    )
    return await gather(ctx.engine, ctx.workspace, request_prompt(ctx, tail.segments), options)


async def confirmed(
    ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol, claimed: Collection[RelativeFinding]
) -> tuple[tuple[RelativeFinding, ...], Cost]:
    """Those of the claims that a correction bears out, with it; and what asking for the corrections cost."""
    kept, cost = [], Cost()
    origin = _origin(parsed, symbol)
    for finding in claimed:
        try:
            fix = await confirmed_edits(ctx, parsed, symbol, place_of(symbol, finding), finding.message)
        except EditError:
            continue
        cost = sum_costs(cost, fix.cost)
        if fix.edits:
            edits = tuple(Edit(Span(edit.span.start - origin, edit.span.end - origin), edit.text) for edit in fix.edits)
            kept.append(replace(finding, edits=edits))
    return tuple(kept), cost


def _quotable(parsed: ParsedFile, symbol: Symbol) -> list[str]:
    """Lines of the body that do something."""
    start = symbol.docstring.end if symbol.docstring else symbol.body.start
    lines = [line.strip() for line in parsed.text.content[start : symbol.body.end].split("\n")]
    return [line for line in lines if len(line) >= _LEAST_QUOTE and not line.startswith("#")]


def _findings(answer: str, definition: str, *, chat: bool) -> Iterator[RelativeFinding]:
    """What an answer says about lines that are there; one finding a line."""
    seen: set[int] = set()
    for quote, message, severity, confidence in _parsed_json(answer) if chat else _parsed_document(answer):
        quoted = quote.strip()
        start = definition.find(quoted)
        told = " ".join(plain(message).split())[:MESSAGE_CHARS].strip()
        if len(quoted) < _LEAST_QUOTE or "\n" in quoted or start < 0 or start in seen or not told:
            continue
        seen.add(start)
        yield RelativeFinding(
            start=start,
            end=start + len(quoted),
            quoted=quoted,
            message=told,
            severity=severity,
            confidence=confidence,
        )


def _parsed_json(answer: str) -> Iterator[tuple[str, str, str, int]]:
    try:
        findings = json.loads(answer)["findings"]
    except (ValueError, KeyError, TypeError):
        return  # cut short by the token limit: nothing certain was said
    for finding in findings if isinstance(findings, list) else ():
        if isinstance(finding, dict):
            severity, confidence = finding.get("severity"), finding.get("confidence")
            known = severity if severity in ("error", "warning", "hint") else "warning"
            what, why = str(finding.get("what", "")).strip(), str(finding.get("why", "")).strip()
            message = f"{what.rstrip('.')}: {why}" if what and why else what
            sure = confidence if isinstance(confidence, int) and 0 <= confidence <= 100 else UNSAID
            yield str(finding.get("quote", "")), message, str(known), sure


def _parsed_document(answer: str) -> Iterator[tuple[str, str, str, int]]:
    quote, because, reason = answer.strip().removeprefix("`").partition(BECAUSE)
    if because:
        yield quote, f"this is wrong because it {reason.strip()}", "hint", UNSAID


def place_of(symbol: Symbol, finding: RelativeFinding) -> Span:
    """What a finding of a definition covers in the file."""
    return Span(symbol.span.start + finding.start, symbol.span.start + finding.end)


def _placed(parsed: ParsedFile, symbol: Symbol, finding: RelativeFinding) -> Finding:
    origin = _origin(parsed, symbol)
    edits = [Edit(Span(origin + edit.span.start, origin + edit.span.end), edit.text) for edit in finding.edits]
    return Finding(
        path=parsed.path,
        span=place_of(symbol, finding),
        quoted=finding.quoted,
        message=finding.message,
        severity=finding.severity,
        confidence=finding.confidence,
        digest=_digest(parsed.path, symbol, finding.quoted),
        edits=tuple(edits),
    )


def _origin(parsed: ParsedFile, symbol: Symbol) -> int:
    """The start of a definition's first line, from which its edits count."""
    return parsed.text.line_span(parsed.text.position(symbol.span.start).line).start


def _callers(ctx: FeatureContext, finding: Finding) -> tuple[tuple[str, Span], ...]:
    """A few places outside that call the definition in which something was found."""
    parsed = ctx.index.files[finding.path]
    around = next((s for s in reviewed(parsed) if s.span.contains(finding.span.start)), None)
    if around is None:
        return ()
    sites = ctx.index.call_sites(around.name)
    outside = [(p, used.span) for p, used in sites if p != finding.path or not around.span.contains(used.span.start)]
    return tuple(outside[:MAX_CALLERS])
