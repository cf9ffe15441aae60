"""The code actions: which there are and where each is offered. One file an action; listing them asks no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.annotate import ANNOTATE, annotate_task
from gemma_lsp.features.actions.docstring import DOCSTRING, docstring_task
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.explain import (
    EXPLAIN_BUG,
    EXPLAIN_CODE,
    EXPLAIN_DIAGNOSTIC,
    ExplainRequest,
    parsed_file,
)
from gemma_lsp.features.actions.facts import facts_at
from gemma_lsp.features.actions.fix import FIX_BUG, fix_task
from gemma_lsp.features.actions.implement import IMPLEMENT, implement_task
from gemma_lsp.features.actions.rewriting import Task, propose
from gemma_lsp.features.actions.simplify import SIMPLIFY, simplify_task
from gemma_lsp.features.actions.test import TEST, task_of_tests
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.telling import Hearer
from gemma_lsp.syntax.types import ParsedFile

ACTIONS: tuple[Action, ...] = (
    EXPLAIN_BUG,
    FIX_BUG,
    EXPLAIN_DIAGNOSTIC,
    EXPLAIN_CODE,
    IMPLEMENT,
    DOCSTRING,
    SIMPLIFY,
    ANNOTATE,
    TEST,
)
"""Every action, in the order of a menu."""

_TASKS: Mapping[str, Callable[[FeatureContext, ParsedFile, ExplainRequest], Task]] = {
    FIX_BUG.id: fix_task,
    IMPLEMENT.id: implement_task,
    DOCSTRING.id: docstring_task,
    SIMPLIFY.id: simplify_task,
    ANNOTATE.id: annotate_task,
    TEST.id: task_of_tests,
}


def offered_actions(facts: Facts) -> tuple[Action, ...]:
    """The actions that make sense at a place."""
    return tuple(action for action in ACTIONS if action.offered(facts))


def edit_action(id_: str) -> Action | None:
    """The action of this id, if it ends in an edit."""
    return next((action for action in ACTIONS if action.id == id_ and action.answer is Answer.EDIT), None)


async def run_action(ctx: FeatureContext, action: Action, request: ExplainRequest, hearer: Hearer) -> Proposal:
    """The edit that an action proposes. Raises `EditError` where there is none, and `EngineError`."""
    parsed = parsed_file(ctx, request.path)
    if parsed.language != "python":
        raise EditError(f"{request.path} is not a Python file; nothing was changed")
    return await propose(ctx, _TASKS[action.id](ctx, parsed, request), hearer)


__all__ = [
    "ACTIONS",
    "Action",
    "Answer",
    "ExplainRequest",
    "Facts",
    "Proposal",
    "edit_action",
    "facts_at",
    "offered_actions",
    "run_action",
]
