"""The model's findings as diagnostics: pulled where the client pulls, pushed where not. Event loop only.

The model is asked when the repository is resident and nobody has typed for a moment. A definition that was reviewed is
not asked about again, so a report after an edit elsewhere costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from typing import Any, Protocol

from lsprotocol import types

from gemma_lsp.app import App
from gemma_lsp.app.workspace import Place, Workspace
from gemma_lsp.base.digest import digest_text
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.diagnostics import CODE, Finding, Review, known_findings, review, review_enabled
from gemma_lsp.server.client import Client
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.positions import Positions
from gemma_lsp.server.convert.uris import uri_of
from gemma_lsp.server.dismissals import Dismissals
from gemma_lsp.server.errors import invalid_params
from gemma_lsp.server.protocol import Protocol as Wire
from gemma_lsp.server.surroundings import documentation, on_battery
from gemma_lsp.text import Text

QUIET_S = 1.0  # without a change before a document is reviewed; guessed


class Reviewed(Protocol):
    """A session, as far as its reviews need one."""

    app: App
    client: Client
    positions: Positions
    protocol: Wire

    def answered(self, kind: str, cost: Cost, reason: str) -> None:
        """Tells what an answer cost."""

    async def request(self, method: str, params: Any) -> Any:
        """Asks the client. Raises `LspError` where it refuses."""

    def spawn(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Work that nobody waits for."""


class Reviews:
    """Invariant: at most one push is under way for a document, and it says what the document reads like now."""

    def __init__(self, session: Reviewed) -> None:
        self._quiet_s = QUIET_S
        self._session = session
        self._pushes: dict[str, tuple[asyncio.Task[Any], bool]] = {}  # and whether it asks
        self._shown: set[str] = set()
        self._answerable: object = None
        self.dismissals = Dismissals()

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
            push[0].cancel()
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
        self._show_again()

    # -- what a person does with findings --------------------------------------------------------------------------

    def findings(self, place: Place) -> tuple[Finding, ...]:
        """What is shown of a file, in its text as it is now."""
        ctx = self._session.app.context(place.workspace)
        return known_findings(ctx, place.path, self.dismissals.digests) if ctx and review_enabled(ctx) else ()

    def dismiss(self, digest: str) -> None:
        """A finding is not shown again, in this session or any other. Raises `LspError` for what is no digest."""
        if not self.dismissals.add(digest):
            raise invalid_params("digest is not one of ours; take it from the diagnostic's data")
        self._show_again()

    # -- reports ---------------------------------------------------------------------------------------------------

    async def report(self, uri: str, *, ask: bool) -> tuple[int | None, list[types.Diagnostic]]:
        """The version and the diagnostics of a document once it is quiet; begins again when it is edited."""
        while True:
            document, place = self._session.app.documents.get(uri), self._session.app.place(uri)
            if document is None or place is None:
                return None, []
            if not self._may_review(place.workspace):
                return document.version, []
            if ask:
                await self._until_resident(place.workspace)
            await asyncio.sleep(self._quiet_s)
            if self._session.app.documents.get(uri) is not document:
                continue
            found = await self._findings(place, document.text, ask=ask)
            if self._session.app.documents.get(uri) is document:
                return document.version, found

    async def known(self, uri: str) -> tuple[int | None, list[types.Diagnostic]]:
        """The same of what is known already: asks nobody, and waits neither for quiet nor for the model."""
        session = self._session
        document, place = session.app.documents.get(uri), session.app.place(uri)
        if document is None or place is None or session.app.engine.model is None:
            return (document.version if document is not None else None), []
        return document.version, await self._findings(place, document.text, ask=False)

    def _may_review(self, workspace: Workspace) -> bool:
        """Not where nobody wants it, nor with a model that could not be loaded: only a person asks for it again."""
        wanted = workspace.settings.diagnostics.enabled != "off"
        return wanted and not self._session.app.engine.unloadable

    async def _until_resident(self, workspace: Workspace) -> None:
        """A review that came first would hold up the reading of the repository, and be told without it."""
        with contextlib.suppress(GemmaLspError):
            await self._session.app.engine.ready()
            ctx = self._session.app.context(workspace)
            if ctx is not None and review_enabled(ctx):
                await workspace.settled.wait()

    async def _findings(self, place: Place, text: Text, *, ask: bool) -> list[types.Diagnostic]:
        """An engine that fails finds nothing: it has been told of elsewhere."""
        session = self._session
        if not self._may_review(place.workspace):
            return []
        try:
            found = await session.app.answer(
                place.workspace, lambda ctx: self._review(ctx, place.path, ask=ask), insists=False
            )
        except GemmaLspError:
            return []
        if found.cost.generated:
            session.answered("review", found.cost, "model")
        severity = place.workspace.settings.diagnostics.severity
        return answers.diagnostics(
            found.findings,
            text,
            session.positions,
            severity,
            documentation=documentation(CODE) if session.client.code_descriptions else None,
            related=lambda finding: self._related(place, finding) if session.client.related_information else [],
        )

    async def _review(self, ctx: FeatureContext, path: str, *, ask: bool) -> Review:
        """Without asking, only what is known; a machine on its battery is not kept busy."""
        if not review_enabled(ctx):
            return Review(findings=(), cost=Cost())
        asks = ask and (ctx.settings.diagnostics.on_battery or not on_battery())
        return await review(ctx, path, None if asks else (), self.dismissals.digests)

    def _related(self, place: Place, finding: Finding) -> list[types.DiagnosticRelatedInformation]:
        """Where the definition is called."""
        root, files = place.workspace.root, place.workspace.index.files
        told = []
        for path, span in finding.callers if root is not None else ():
            if root is not None and path in files:
                location = types.Location(uri_of(root / path), self._session.positions.to_range(files[path].text, span))
                told.append(types.DiagnosticRelatedInformation(location, "it is called here"))
        return told

    def _show_again(self) -> None:
        """What is shown may be no longer what should be."""
        session = self._session
        if session.client.refreshes_diagnostics:
            session.spawn(session.request(types.WORKSPACE_DIAGNOSTIC_REFRESH, None))
        elif not session.client.pulls_diagnostics:
            for document in session.app.documents:
                self._push(document.uri, ask=True)

    def _push(self, uri: str, *, ask: bool) -> None:
        """In place of the one under way; if that was to ask and has not yet, this one does."""
        older, asks = self._pushes.pop(uri, (None, False))
        if older is not None:
            ask = ask or (asks and not older.done())
            older.cancel()
        self._pushes[uri] = self._session.spawn(self._push_now(uri, ask=ask)), ask

    async def _push_now(self, uri: str, *, ask: bool) -> None:
        if ask and uri in self._shown:  # it moves with the text, however long the review takes
            await self._report_and_publish(uri, ask=False)
        await self._report_and_publish(uri, ask=ask)

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
