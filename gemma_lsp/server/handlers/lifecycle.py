"""initialize, initialized, shutdown, $/setTrace."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from lsprotocol import types

from gemma_lsp import __version__
from gemma_lsp.server.capabilities import capabilities
from gemma_lsp.server.client import client_of
from gemma_lsp.server.protocol import Lifecycle
from gemma_lsp.server.session import Session

SETTLE_LIMIT_S = 2.0


def initialize(session: Session, params: types.InitializeParams) -> types.InitializeResult:
    """Answers at once: nothing is read and nothing is loaded here."""
    session.meet(client_of(params))
    session.protocol.lifecycle = Lifecycle.RUNNING
    return types.InitializeResult(
        capabilities=capabilities(session.client), server_info=types.ServerInfo("gemma-lsp", __version__)
    )


def initialized(session: Session, params: types.InitializedParams) -> None:
    """Everything that takes time begins."""
    session.spawn(session.start())


def shutdown(session: Session, params: Any) -> Awaitable[None]:
    """Answers what runs, stops the rest, and then this."""
    session.protocol.shut_down()
    return _close(session)


async def _close(session: Session) -> None:
    await session.protocol.settle(SETTLE_LIMIT_S)
    await session.close()


def set_trace(session: Session, params: types.SetTraceParams) -> None:
    """There is no trace: it would hold source text. The log on standard error is a setting."""
