"""The code actions: which there are and where each is offered. One file an action; listing them asks no model."""

from gemma_lsp.features.actions.action import Action, Facts
from gemma_lsp.features.actions.explain import EXPLAIN_BUG

ACTIONS: tuple[Action, ...] = (EXPLAIN_BUG,)
"""Every action, in the order of a menu."""


def offered_actions(facts: Facts) -> tuple[Action, ...]:
    """The actions that make sense at a place."""
    return tuple(action for action in ACTIONS if action.offered(facts))


__all__ = ["ACTIONS", "Action", "Facts", "offered_actions"]
