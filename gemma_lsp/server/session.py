"""One client's session: what it can, the app behind it, and the few ways in which it is told something.

Event loop only. It is the app's host: what the app wants a person to know goes through here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from gemma_lsp import __version__
from gemma_lsp.app import App, EngineFactory, TaskView
from gemma_lsp.app import status as app_status
from gemma_lsp.app.ports import NO_VIEW
from gemma_lsp.config.load import Source, Strength, client_source
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.feedback import Feedback
from gemma_lsp.features.habits import Habits
from gemma_lsp.features.tally_file import TallyFile
from gemma_lsp.server.announcer import Announcer
from gemma_lsp.server.client import Client
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.positions import Positions
from gemma_lsp.server.convert.structure import make_converter
from gemma_lsp.server.errors import LspError, error_for
from gemma_lsp.server.latest import Latest
from gemma_lsp.server.progress import Progresses, Token
from gemma_lsp.server.protocol import Protocol
from gemma_lsp.server.registrations import Registrations, wanted
from gemma_lsp.server.reviews import Reviews
from gemma_lsp.server.routes import Routes
from gemma_lsp.server.scratch import Scratch
from gemma_lsp.server.tellings import Tellings

log = logging.getLogger(__name__)
CONFIGURATION_LIMIT_S = 5.0
FEEDBACK_EVERY_S = 60.0


class Session(LanguageServer):
    """pygls's server object with our protocol. `sources`: settings from the command line and the user's file."""

    protocol: Protocol

    def __init__(
        self,
        engine_factory: EngineFactory,
        routes: Routes,
        sources: Sequence[Source] = (),
        tally_file: TallyFile | None = None,
    ) -> None:
        super().__init__("gemma-lsp", __version__, protocol_cls=Protocol, converter_factory=make_converter)
        self.protocol.routes = routes
        self.client = Client()
        self.positions = Positions()
        self._tally_file = tally_file
        self.app = App(engine_factory, self, habits=Habits(Feedback(tally_file.read() if tally_file else None)))
        self.latest = Latest()
        self.scratch = Scratch()
        self.progresses = Progresses(self.request, self.protocol.notify)
        self.reviews = Reviews(self)
        self.tellings = Tellings()
        self.announcer = Announcer(self.standing, lambda now: self.protocol.notify("gemma-lsp/status", now))
        self.typed: set[str] = set()  # documents changed since a completion was last asked for
        self.selection: tuple[str, types.Range] | None = None  # for which actions were listed last
        self.last_cost: dict[str, Any] | None = None
        self.no_task = NO_VIEW
        self._ids = itertools.count(1)
        self._registrations = Registrations(self.request)
        self._own_sources = tuple(sources)
        self._client_sources: dict[Strength, Source] = {}
        self._asked_at, self._told_at = itertools.count(1), 0  # of workspace/configuration: an older answer is dropped
        self._warned: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- life ------------------------------------------------------------------------------------------------------

    def meet(self, client: Client) -> None:
        """The client has introduced itself."""
        self.client = client
        self.positions = Positions(client.encoding)
        self._client_sources[Strength.INITIALIZATION_OPTIONS] = client_source(
            Strength.INITIALIZATION_OPTIONS, client.options
        )
        self.app.watch_disk = not client.sees_the_disk
        for path, name in client.folders:
            self.app.add_folder(path, name)

    async def start(self) -> None:
        """After `initialized`: asks for the settings, and begins with everything that takes time."""
        await self.configure(None)
        await self.app.start()
        if self._tally_file is not None:
            self.spawn(self._keep_feedback())

    async def configure(self, pushed: Any) -> None:
        """Settings may have changed. `pushed`: what the client sent along, for those that cannot be asked."""
        if self.client.configuration:
            await self._ask_configuration()
            return
        if pushed is not None:
            self._take_configuration(pushed)
        await self._apply_configuration()

    async def _apply_configuration(self) -> None:
        await self.app.configure((*self._client_sources.values(), *self._own_sources))
        logging.getLogger("gemma_lsp").setLevel(self.app.settings.log.level.upper())
        await self._registrations.settle(wanted(self.client, self.app.settings))

    async def close(self) -> None:
        """Stops what runs; afterwards nothing is sent any more but answers."""
        self.announcer.close()
        for task in self._tasks:
            task.cancel()
        await self.app.close()
        self.scratch.remove()
        await self._write_feedback()

    def new_id(self) -> str:
        """An id for an answer whose client gave none."""
        return str(next(self._ids))

    def spawn(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Work that nobody waits for; it ends with the session, and what it raises is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_spawned_done)
        return task

    # -- the client ------------------------------------------------------------------------------------------------

    async def request(self, method: str, params: Any) -> Any:
        """Asks the client. Raises `LspError` where it refuses."""
        return await self.protocol.send_request_async(method, params)

    def say(self, kind: types.MessageType, message: str) -> None:
        """A message that the client shows."""
        self.protocol.notify(types.WINDOW_SHOW_MESSAGE, types.ShowMessageParams(kind, f"gemma-lsp: {message}"))

    # -- the app's host --------------------------------------------------------------------------------------------

    def begin_task(
        self, title: str, cancel: Callable[[], object] | None = None, token: Token | None = None
    ) -> TaskView:
        """Progress, where the client shows it. `token`: the client's own."""
        shown = token is not None or self.client.progress
        view = self.progresses.begin(title, cancel, token) if shown else self.no_task
        self._changed()
        return self.announcer.watching(view) if self.client.wants_status else view

    def warn(self, message: str) -> None:
        """A warning, once."""
        self._changed()
        if message not in self._warned:
            self._warned.add(message)
            self.say(types.MessageType.Warning, message)

    def fail(self, message: str) -> None:
        """An error, each time."""
        self.say(types.MessageType.Error, message)

    def answered(self, kind: str, cost: Cost, reason: str) -> None:
        """What an answer cost: kept for `gemma-lsp/status`, and sent to clients that want to know."""
        self.last_cost = {"kind": kind, "reason": reason, "cost": answers.cost(cost)}
        if self.client.wants_cost:
            self.protocol.notify("gemma-lsp/cost", self.last_cost)
        self._changed()

    def state_changed(self) -> None:
        """What could not be answered before can be now."""
        self.reviews.state_changed()
        self._changed()

    def standing(self) -> dict[str, Any]:
        """How things stand, as `gemma-lsp/status` says it."""
        state = app_status.status(self.app.engine, self.app.workspaces)
        completions = self.app.habits.tally.to_json()
        return {"version": __version__, **state, "completions": completions, "lastAnswer": self.last_cost}

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _keep_feedback(self) -> None:
        while True:
            await asyncio.sleep(FEEDBACK_EVERY_S)
            await self._write_feedback()

    async def _write_feedback(self) -> None:
        new = self.app.habits.feedback.take_new()
        if self._tally_file is not None and new:
            await asyncio.to_thread(self._tally_file.add, new)

    def _changed(self) -> None:
        if self.client.wants_status:
            self.announcer.touched()

    async def _ask_configuration(self) -> None:
        """Waits a while for the client's settings; those that come later count as soon as they are there."""
        answering = self.spawn(self._answered_configuration(next(self._asked_at)))
        done, _ = await asyncio.wait([answering], timeout=CONFIGURATION_LIMIT_S)
        if not done:
            log.warning("the client has not answered workspace/configuration yet; going on without")
            await self._apply_configuration()

    async def _answered_configuration(self, asked_at: int) -> None:
        asked = types.ConfigurationParams([types.ConfigurationItem(section="gemma-lsp")])
        try:
            got = await self.request(types.WORKSPACE_CONFIGURATION, asked)
        except LspError as error:
            log.warning("the client refused workspace/configuration: %s", error.message)
        else:
            if asked_at > self._told_at:
                self._told_at = asked_at
                self._take_configuration(got[0] if isinstance(got, list | tuple) and got else None)
        await self._apply_configuration()

    def _take_configuration(self, raw: Any) -> None:
        strength = Strength.WORKSPACE_CONFIGURATION
        self._client_sources[strength] = client_source(strength, raw)

    def _on_spawned_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        expected = error_for(error)
        if expected is not None:
            log.warning("%s", expected.message)
        else:
            log.error("background work failed", exc_info=error)
