"""Findings: the model reads one definition after the other and says which line is wrong, if any.

Every finding quotes a line that stands in the code, and covers exactly that; whatever does not is dropped.
A definition that was read is not read again until its text changes, wherever it moves. Cancel points: every await.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gemma_lsp.base.digest import digest_text
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.features.markdown import plain
from gemma_lsp.features.memory import RelativeFinding
from gemma_lsp.generate.answers import Answer, gather, sum_costs
from gemma_lsp.generate.grammars import BECAUSE, json_findings, quoted_finding
from gemma_lsp.generate.presets import constrained
from gemma_lsp.generate.repetition import goes_round
from gemma_lsp.prompt.tails import Selection, review_tail
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span

CODE = "possible-bug"
MAX_TOKENS_DOCUMENT = 64
MAX_TOKENS_JSON = 240
MAX_LINES = 200  # a longer definition is not reviewed: nobody gets a good answer about it
MESSAGE_CHARS = 200
_LEAST_QUOTE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`span` covers `quoted` in the file's text. `severity` is what the model said: error, warning or hint."""

    path: str
    span: Span
    quoted: str
    message: str
    severity: str
    code: str = CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The findings of one file in the order of the text, and what asking for them cost now."""

    findings: tuple[Finding, ...]
    cost: Cost


def review_enabled(ctx: FeatureContext) -> bool:
    """Whether the settings and the model's kind want reviews at all."""
    switch = ctx.settings.diagnostics.enabled
    return switch == "on" or (switch == "auto" and ctx.frame.chat)


async def review(ctx: FeatureContext, path: str, symbols: Collection[str] | None = None) -> Review:
    """Reviews the functions and methods of a file; with `symbols`, only those qualified names are asked about.

    Findings of the others are given as far as they are known. Raises `EngineError`.
    """
    parsed = ctx.index.files.get(path)
    findings: list[Finding] = []
    cost = Cost()
    for symbol in _reviewed(parsed) if parsed else ():
        assert parsed is not None
        key = _key(ctx, parsed, symbol)
        known = ctx.memory.reviews.get(key)
        if known is None and (symbols is None or symbol.qualified in symbols):
            answer = await _asked(ctx, parsed, symbol)
            cost = sum_costs(cost, answer.cost)
            if answer.unwanted:
                break
            known = tuple(_findings(answer.text, parsed.text.slice(symbol.span), chat=ctx.frame.chat))
            ctx.memory.reviews.put(key, known)
        findings += [_placed(path, symbol, finding) for finding in known or ()]
    return Review(findings=tuple(findings[: ctx.settings.diagnostics.max_per_file]), cost=cost)


def _reviewed(parsed: ParsedFile) -> Iterator[Symbol]:
    """Functions and methods that are not inside another one."""
    end = 0
    for symbol in parsed.symbols:
        function = symbol.kind in (SymbolKind.FUNCTION, SymbolKind.METHOD)
        if function and symbol.span.start >= end:
            end = symbol.span.end
            if parsed.text.slice(symbol.span).count("\n") < MAX_LINES:
                yield symbol


def _key(ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol) -> str:
    return digest_text("\0".join((ctx.model.path, ctx.model.name, symbol.qualified, parsed.text.slice(symbol.span))))


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


def _quotable(parsed: ParsedFile, symbol: Symbol) -> list[str]:
    """Lines of the body that do something."""
    start = symbol.docstring.end if symbol.docstring else symbol.body.start
    lines = [line.strip() for line in parsed.text.content[start : symbol.body.end].split("\n")]
    return [line for line in lines if len(line) >= _LEAST_QUOTE and not line.startswith("#")]


def _findings(answer: str, definition: str, *, chat: bool) -> Iterator[RelativeFinding]:
    """What an answer says about lines that are there; one finding a line."""
    seen: set[int] = set()
    for quote, message, severity in _parsed_json(answer) if chat else _parsed_document(answer):
        quoted = quote.strip()
        start = definition.find(quoted)
        told = " ".join(plain(message).split())[:MESSAGE_CHARS].strip()
        if len(quoted) < _LEAST_QUOTE or "\n" in quoted or start < 0 or start in seen or not told:
            continue
        seen.add(start)
        end = start + len(quoted)
        yield RelativeFinding(start=start, end=end, quoted=quoted, message=told, severity=severity)


def _parsed_json(answer: str) -> Iterator[tuple[str, str, str]]:
    try:
        findings = json.loads(answer)["findings"]
    except (ValueError, KeyError, TypeError):
        return  # cut short by the token limit: nothing certain was said
    for finding in findings if isinstance(findings, list) else ():
        if isinstance(finding, dict):
            severity = finding.get("severity")
            known = severity if severity in ("error", "warning", "hint") else "warning"
            yield str(finding.get("quote", "")), str(finding.get("message", "")), str(known)


def _parsed_document(answer: str) -> Iterator[tuple[str, str, str]]:
    quote, because, reason = answer.strip().removeprefix("`").partition(BECAUSE)
    if because:
        yield quote, f"this is wrong because it {reason.strip()}", "hint"


def _placed(path: str, symbol: Symbol, finding: RelativeFinding) -> Finding:
    start = symbol.span.start
    return Finding(
        path=path,
        span=Span(start + finding.start, start + finding.end),
        quoted=finding.quoted,
        message=finding.message,
        severity=finding.severity,
    )
