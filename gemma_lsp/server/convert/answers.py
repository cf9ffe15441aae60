"""What the features answer, as each client can take it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lsprotocol import types

from gemma_lsp.config.schema import Severity
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.completion import CompletionItemData
from gemma_lsp.features.diagnostics import Finding
from gemma_lsp.features.inline import InlineItem
from gemma_lsp.server.client import Client
from gemma_lsp.server.convert.positions import Positions
from gemma_lsp.text import Position, Text

SOURCE = "gemma-lsp"
_SEVERITIES: dict[Severity, types.DiagnosticSeverity] = {
    "warning": types.DiagnosticSeverity.Warning,
    "information": types.DiagnosticSeverity.Information,
    "hint": types.DiagnosticSeverity.Hint,
}


def inline_item(
    item: InlineItem, text: Text, position: Position, positions: Positions, client: Client
) -> types.InlineCompletionItem:
    """An inline completion. The range says what is replaced; Neovim is told only where that is anything at all."""
    insertion = item.span.start == item.span.end == text.offset(position)
    shown_without = insertion and client.is_neovim
    return types.InlineCompletionItem(
        insert_text=item.text, range=None if shown_without else positions.to_range(text, item.span)
    )


def completion_item(item: CompletionItemData) -> types.CompletionItem:
    """A completion item in the one form that every editor inserts whole: plain text that replaces the typed word.

    It stands behind what the language's own server offers, and is never chosen beforehand: Enter must not take it by
    accident where the other server's first item was meant.
    """
    documentation = types.MarkupContent(types.MarkupKind.Markdown, item.documentation) if item.documentation else None
    return types.CompletionItem(
        label=item.label,
        kind=types.CompletionItemKind.Text,
        detail=SOURCE,
        documentation=documentation,
        insert_text=item.insert_text,
        insert_text_format=types.InsertTextFormat.PlainText,
        filter_text=item.typed_word,
        sort_text="~",
        preselect=False,
    )


def diagnostics(
    findings: Sequence[Finding],
    text: Text,
    positions: Positions,
    severity: Severity,
    *,
    documentation: str | None = None,
    related: Callable[[Finding], list[types.DiagnosticRelatedInformation]] = lambda finding: [],
) -> list[types.Diagnostic]:
    """Findings in one text. The severity is the user's: what the model says of it is not to be relied on."""
    return [
        types.Diagnostic(
            range=positions.to_range(text, finding.span),
            message=finding.message,
            severity=_SEVERITIES[severity],
            code=finding.code,
            code_description=types.CodeDescription(documentation) if documentation is not None else None,
            source=SOURCE,
            related_information=related(finding) or None,
            data={"digest": finding.digest},
        )
        for finding in findings
    ]


def plain_range(range_: types.Range) -> dict[str, Any]:
    """A range as plain JSON, for the arguments of commands."""
    start, end = range_.start, range_.end
    return {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }


def cost(value: Cost) -> dict[str, Any]:
    """A cost as `gemma-lsp/cost` and `gemma-lsp/status` carry it; docs/protocol.md lists the members."""
    return {
        "prompt": value.prompt,
        "reused": value.reused,
        "restored": value.restored,
        "evaluated": value.evaluated,
        "evaluatedByRegion": dict(value.evaluated_by_region),
        "hidden": value.hidden,
        "generated": value.generated,
        "guessed": value.guessed,
        "guessedRight": value.guessed_right,
        "exact": value.exact,
        "early": value.early,
        "queuedMs": value.queued_ms,
        "promptMs": value.prompt_ms,
        "firstTokenMs": value.first_token_ms,
        "totalMs": value.total_ms,
    }
