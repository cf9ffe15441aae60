"""What somebody asks about a place, and what is known of it: shared by the actions that explain and those that edit."""

from __future__ import annotations

from dataclasses import dataclass

from gemma_lsp.base.errors import EngineError
from gemma_lsp.features.actions.surroundings import callers_of, definitions_used
from gemma_lsp.features.actions.tracebacks import clipped
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.tails import Asked, Evidence
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A diagnostic that somebody else gave: `line` counts from 0."""

    line: int
    source: str
    message: str

    @property
    def told(self) -> str:
        """In one line."""
        return f"line {self.line + 1}: {self.source}: {' '.join(self.message.split())}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """What to explain; an empty span means the definition around it, or its line. `traceback` is as it was pasted."""

    path: str
    span: Span
    question_kind: Asked = Asked.BUG
    diagnostics: tuple[Reported, ...] = ()
    traceback: str = ""


def parsed_file(ctx: FeatureContext, path: str) -> ParsedFile:
    """The file as it reads now. Raises `EngineError` where it is not in the index."""
    parsed = ctx.index.files.get(path)
    if parsed is None:
        raise EngineError(f"{path} is not in the index; save it inside the workspace folder first")
    return parsed


def evidence_for(ctx: FeatureContext, request: ExplainRequest, parsed: ParsedFile, symbol: Symbol | None) -> Evidence:
    """What is known about the place: a model with a chat template is told all of it."""
    span = request.span if request.span.start < request.span.end or symbol is None else symbol.span
    return Evidence(
        reported=tuple(diagnostic.told for diagnostic in request.diagnostics),
        callers=callers_of(ctx.index, request.path, symbol),
        used=definitions_used(ctx.index, parsed.path, span),
        traceback=clipped(request.traceback),
    )
