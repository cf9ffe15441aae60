"""How a long answer reaches a person: streamed to clients that know how, else as a document, else as a message.

Event loop only. An expected failure is shown once, and the command answers null: some editors hide errors, others
show them twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from lsprotocol import types

from gemma_lsp.app.tasks import unless_stopped
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.features.telling import Explanation
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.uris import uri_of
from gemma_lsp.server.errors import LspError
from gemma_lsp.server.progress import Token
from gemma_lsp.server.session import Session

log = logging.getLogger(__name__)
METHOD = "gemma-lsp/explain"
MESSAGE_CHARS = 600
SHOW_LIMIT_S = 10.0
_TAIL_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One answer to tell: its title, the client's id for it, and the progress token of its request."""

    kind: str
    title: str
    id: str
    token: Token | None = None


Ask = Callable[[Callable[[str], None]], Awaitable[Explanation]]


async def tell(session: Session, telling: Telling, ask: Ask) -> dict[str, Any] | None:
    """Asks, shows what comes, and returns the whole; None if it failed or the person stopped it."""
    try:
        explanation = await _ask(session, telling, ask)
    except GemmaLspError as error:
        _failed(session, telling, str(error))
        return None
    except LspError:
        raise
    except Exception:
        log.exception("%s failed", telling.kind)
        _failed(session, telling, f"{telling.title} failed inside the server; see its log")
        return None
    if explanation is None:
        _end(session, telling, {"cancelled": True})
        return None
    session.answered(telling.kind, explanation.cost, "model")
    if session.client.streams:
        _end(session, telling, {"markdown": explanation.markdown})
    else:
        await _show(session, telling.title, explanation.markdown)
    return {
        "id": telling.id,
        "markdown": explanation.markdown,
        "citations": [asdict(citation) for citation in explanation.citations],
        "cost": answers.cost(explanation.cost),
    }


async def _ask(session: Session, telling: Telling, ask: Ask) -> Explanation | None:
    """With progress, unless the client streams and did not ask for it."""
    said: list[str] = []

    def on_delta(delta: str) -> None:
        said.append(delta)
        if session.client.streams:
            session.protocol.notify(METHOD, {"id": telling.id, "delta": delta})
        view.report(" ".join("".join(said)[-_TAIL_CHARS:].split()))

    async def asking() -> Explanation:
        return await ask(on_delta)

    task = asyncio.create_task(asking())
    shown = telling.token is not None or not session.client.streams
    view = session.begin_task(telling.title, task.cancel, telling.token) if shown else session.no_task
    try:
        return await unless_stopped(task)
    finally:
        view.end("done" if not task.cancelled() else "stopped")


def _failed(session: Session, telling: Telling, message: str) -> None:
    _end(session, telling, {"error": message})
    session.fail(message)


def _end(session: Session, telling: Telling, how: dict[str, Any]) -> None:
    if session.client.streams:
        session.protocol.notify(METHOD, {"id": telling.id, "done": True, **how})


async def _show(session: Session, title: str, markdown: str) -> None:
    """As a document where the client opens one, else the beginning of it as a message."""
    if session.client.shows_documents or session.client.is_helix:
        path = session.scratch.write(title, markdown)
        try:
            params = types.ShowDocumentParams(uri=uri_of(path), external=False, take_focus=True)
            async with asyncio.timeout(SHOW_LIMIT_S):
                shown = await session.request(types.WINDOW_SHOW_DOCUMENT, params)
            if shown is not None and shown.success:
                return
        except (LspError, TimeoutError) as error:
            log.info("the client does not show documents: %s", error)
    text = markdown if len(markdown) <= MESSAGE_CHARS else markdown[:MESSAGE_CHARS].rstrip() + " ..."
    session.say(types.MessageType.Info, text)
