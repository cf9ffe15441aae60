"""How a long answer reaches a person: streamed to clients that know how, else as a document, else as a message.

Event loop only. An expected failure is shown once, and the command answers null: some editors hide errors, others
show them twice. What was said can be stopped and followed up by its id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from lsprotocol import types

from gemma_lsp.app.tasks import unless_stopped
from gemma_lsp.base.errors import Cancelled, EditError, GemmaLspError
from gemma_lsp.features.markdown import sanitised
from gemma_lsp.features.telling import Explanation, Speech
from gemma_lsp.prompt.tails import Exchange
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.uris import uri_of
from gemma_lsp.server.errors import LspError, invalid_params
from gemma_lsp.server.progress import Token
from gemma_lsp.server.session import Session

log = logging.getLogger(__name__)
METHOD = "gemma-lsp/explain"
MESSAGE_CHARS = 600
SHOW_LIMIT_S = 10.0
_TAIL_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One answer to tell: its title, the client's id for it, and the progress token of its request.

    `question` is what a follow-up says that was asked; `earlier` what was said before. `quiet`: no words as they come.
    """

    kind: str
    title: str
    id: str
    token: Token | None = None
    question: str = ""
    earlier: tuple[Exchange, ...] = ()
    quiet: bool = False


Ask = Callable[[Speech], Awaitable[Explanation]]


async def tell(session: Session, telling: Telling, ask: Ask) -> dict[str, Any] | None:
    """Asks, shows what comes, and returns the whole; None if it failed or was stopped before the first word.

    Raises `LspError` where an answer with this id is running.
    """
    if session.tellings.runs(telling.id):
        raise invalid_params(f"an answer with the id {telling.id} is running; stop it first, or give another id")
    _notify(session, telling, {"title": telling.title})
    try:
        explanation = await _ask(session, telling, ask)
    except Cancelled:
        explanation = None
    except GemmaLspError as error:
        _failed(session, telling, str(error), types.MessageType.Warning if isinstance(error, EditError) else None)
        return None
    except LspError:
        raise
    except Exception:
        log.exception("%s failed", telling.kind)
        _failed(session, telling, f"{telling.title} failed inside the server; see its log")
        return None
    if explanation is None or (explanation.stopped and not explanation.words and not explanation.thinking):
        _notify(session, telling, {"done": True, "cancelled": True})
        return None
    if not explanation.stopped:
        session.answered(telling.kind, explanation.cost, "model")
    session.tellings.remember(telling, explanation.words)
    await _show(session, telling, explanation)
    told = {
        "id": telling.id,
        "markdown": explanation.markdown,
        "citations": [asdict(citation) for citation in explanation.citations],
        "cost": answers.cost(explanation.cost),
    }
    return {**told, "cancelled": True} if explanation.stopped else told


async def _ask(session: Session, telling: Telling, ask: Ask) -> Explanation | None:
    """With progress, unless the client streams and did not ask for it."""
    said: list[str] = []

    def on_delta(delta: str) -> None:
        said.append(delta)
        if not telling.quiet:
            _notify(session, telling, {"delta": delta})
        view.report(" ".join("".join(said)[-_TAIL_CHARS:].split()))

    speech = Speech(on_delta, lambda text: _notify(session, telling, {"thinking": text}))

    async def asking() -> Explanation:
        return await ask(speech)

    def stop() -> None:
        if not speech.stop() and (telling.quiet or not speech.asked):
            task.cancel()  # but words that have just ended are whole, and are shown

    task = asyncio.create_task(asking())
    shown = telling.token is not None or not session.client.streams
    view = session.begin_task(telling.title, stop, telling.token) if shown else session.no_task
    session.tellings.begin(telling.id, stop)
    try:
        return await unless_stopped(task)
    finally:
        session.tellings.end(telling.id)
        view.end("stopped" if task.cancelled() or speech.stopped else "done")


def _failed(session: Session, telling: Telling, message: str, kind: types.MessageType | None = None) -> None:
    _notify(session, telling, {"done": True, "error": message})
    session.say(kind or types.MessageType.Error, message)


def _notify(session: Session, telling: Telling, what: dict[str, Any]) -> None:
    if session.client.streams:
        session.protocol.notify(METHOD, {"id": telling.id, **what})


async def _show(session: Session, telling: Telling, explanation: Explanation) -> None:
    """The whole: to the panel, as a document where the client opens one, or the beginning of it as a message."""
    markdown = explanation.markdown
    if session.client.streams:
        thoughts = {"thinking": explanation.thinking} if explanation.thinking else {}
        how = {"cancelled": True} if explanation.stopped else {}
        _notify(session, telling, {"done": True, **how, "markdown": markdown, **thoughts})
        return
    if session.client.shows_documents or session.client.is_helix:
        path = session.scratch.write(telling.title, _folded(explanation))
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


def _folded(explanation: Explanation) -> str:
    """The document with the model's thoughts behind it, as a quotation: nothing folds in a text editor."""
    if not explanation.thinking:
        return explanation.markdown
    thoughts = "".join(f"> {line}\n" for line in sanitised(explanation.thinking).split("\n"))
    return f"{explanation.markdown}\n## What the model thought\n\n{thoughts}"
