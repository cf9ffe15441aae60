"""The model's findings as diagnostics: pulled where the client pulls, pushed where not. Event loop only.

The model is asked when nobody has typed for a moment. A definition that was reviewed is not asked about again, so a
report after an edit elsewhere costs nothing.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.base.digest import digest_text
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.diagnostics import Review, review, review_enabled
from gemma_lsp.server.convert import answers
from gemma_lsp.text import Text

if TYPE_CHECKING:
    from gemma_lsp.server.session import Session

QUIET_S = 1.0  # without a change before a document is reviewed; guessed


class Reviews:
    """Invariant: at most one push is under way for a document, and it says what the document reads like now."""

    def __init__(self, session: Session) -> None:
        self._quiet_s = QUIET_S
        self._session = session
        self._pushes: dict[str, asyncio.Task[Any]] = {}
        self._shown: set[str] = set()
        self._answerable: object = None

    # -- what happens to documents ---------------------------------------------------------------------------------

    def opened(self, uri: str) -> None:
        """Opened or saved: the moment to ask, for clients that do not pull."""
        if not self._session.client.pulls_diagnostics:
            self._push(uri, ask=True)

    def edited(self, uri: str) -> None:
        """The findings that are shown move with the text, and those of the edited definition go."""
        if uri in self._shown:
            self._push(uri, ask=False)

    def closed(self, uri: str) -> None:
        """Nothing is shown for a document that is not open."""
        push = self._pushes.pop(uri, None)
        if push is not None:
            push.cancel()
        if uri in self._shown:
            self._publish(uri, None, [])

    def state_changed(self) -> None:
        """Another model or setting: what was reported may be no longer true."""
        session = self._session
        model = session.app.engine.model
        now = (model.path, session.app.settings.diagnostics) if model is not None else None
        before, self._answerable = self._answerable, now if now is not None else self._answerable
        if before is None or now is None or before == now:
            return
        if session.client.refreshes_diagnostics:
            session.spawn(session.request(types.WORKSPACE_DIAGNOSTIC_REFRESH, None))
        elif not session.client.pulls_diagnostics:
            for document in session.app.documents:
                self._push(document.uri, ask=True)

    # -- reports ---------------------------------------------------------------------------------------------------

    async def report(self, uri: str, *, ask: bool) -> tuple[int | None, list[types.Diagnostic]]:
        """The version and the diagnostics of a document once it is quiet; begins again when it is edited."""
        while True:
            document, place = self._session.app.documents.get(uri), self._session.app.place(uri)
            if document is None or place is None:
                return None, []
            await asyncio.sleep(self._quiet_s)
            if self._session.app.documents.get(uri) is not document:
                continue
            found = await self._findings(place, document.text, ask=ask)
            if self._session.app.documents.get(uri) is document:
                return document.version, found

    async def _findings(self, place: Place, text: Text, *, ask: bool) -> list[types.Diagnostic]:
        """An engine that fails finds nothing: it has been told of elsewhere."""
        session = self._session
        try:
            found = await session.app.answer(place.workspace, lambda ctx: _review(ctx, place.path, ask=ask))
        except GemmaLspError:
            return []
        if found.cost.generated:
            session.answered("review", found.cost, "model")
        severity = place.workspace.settings.diagnostics.severity
        return answers.diagnostics(found.findings, text, session.positions, severity)

    def _push(self, uri: str, *, ask: bool) -> None:
        older = self._pushes.pop(uri, None)
        if older is not None:
            older.cancel()
        self._pushes[uri] = self._session.spawn(self._report_and_publish(uri, ask=ask))

    async def _report_and_publish(self, uri: str, *, ask: bool) -> None:
        version, found = await self.report(uri, ask=ask)
        if uri in self._session.app.documents and (found or uri in self._shown):
            self._publish(uri, version, found)

    def _publish(self, uri: str, version: int | None, found: list[types.Diagnostic]) -> None:
        if found:
            self._shown.add(uri)
        else:
            self._shown.discard(uri)
        params = types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=found)
        self._session.protocol.notify(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)


def result_id(found: list[types.Diagnostic]) -> str:
    """Equal for equal reports."""
    places = [
        (d.range.start.line, d.range.start.character, d.range.end.line, d.range.end.character, d.message, d.severity)
        for d in found
    ]
    return digest_text(json.dumps(places))


async def _review(ctx: FeatureContext, path: str, *, ask: bool) -> Review:
    """Without asking, only what is known."""
    if not review_enabled(ctx):
        return Review(findings=(), cost=Cost())
    return await review(ctx, path, None if ask else ())
