"""What can be said of a place without a model, for the menu and for the actions themselves. Pure; any thread."""

from __future__ import annotations

import re

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Facts
from gemma_lsp.features.actions.definitions import (
    can_be_documented,
    is_annotated,
    is_overload,
    is_stub,
    signature_alone,
    stands_apart,
)
from gemma_lsp.features.actions.surroundings import definition_at
from gemma_lsp.features.actions.targets import target_at
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Span

_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py")


def facts_at(parsed: ParsedFile, span: Span, n_diagnostics: int) -> Facts:
    """The facts of a selection, or of a place."""
    symbol = definition_at(parsed, span)
    function = symbol is not None and symbol.kind is not SymbolKind.CLASS
    return Facts(
        path=parsed.path,
        language=parsed.language,
        selected=bool(parsed.text.slice(span).strip()),
        symbol=symbol.qualified if symbol is not None else "",
        n_diagnostics=n_diagnostics,
        function=function,
        test=is_test_file(parsed.path),
        documented=symbol is not None and symbol.docstring is not None,
        stub=symbol is not None and function and is_stub(parsed, symbol),
        annotated=symbol is not None and function and is_annotated(parsed.text.slice(symbol.signature)),
        documentable=symbol is not None and can_be_documented(parsed, symbol),
        workable=_is_workable(parsed, span),
        apart=symbol is not None and stands_apart(parsed, symbol),
        alone=symbol is not None and signature_alone(parsed, symbol),
        overload=symbol is not None and is_overload(parsed, symbol),
    )


def is_test_file(path: str) -> bool:
    """Whether a file holds tests, by its name."""
    return _TEST_FILE.fullmatch(path) is not None


def _is_workable(parsed: ParsedFile, span: Span) -> bool:
    try:
        target_at(parsed, span)
    except EditError:
        return False
    return True
