"""Keeps a workspace's prompt resident in the engine: lays it out, has it read, and again when it has become stale.

One task on the event loop. Cancelling it stops the reading; what was evaluated by then stays in the engine's cache.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gemma_lsp.app.engine_host import EngineHost
from gemma_lsp.app.indexing import Indexing
from gemma_lsp.app.laying import budget, crowded, fold, lay_out
from gemma_lsp.app.ports import Host
from gemma_lsp.app.quiet import Quiet
from gemma_lsp.app.reading import read
from gemma_lsp.app.tasks import unless_stopped
from gemma_lsp.app.worker import Worker
from gemma_lsp.app.workspace import NO_LAYOUT, Phase, Workspace
from gemma_lsp.base.errors import EngineUnavailable, ModelError
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Finished, ModelInfo, Priority
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN, LayoutOptions
from gemma_lsp.prompt.resident import Resident

IDLE_S = 5.0  # of quiet before a prompt that has become stale is laid out anew; guessed
REPAIR_AFTER = 12  # times as much quiet before what was moved in the cache is read exactly; guessed
RETRY_S = 2.0
RETRY_LIMIT_S = 60.0
LOST_SHARE = 0.5  # of what was read: where the engine holds less of it, it is read again; guessed
TELL_TOKENS = 512  # of changes that were not read yet, from which on they are read when nobody waits; guessed


class Warming(Worker):
    """The prompt's side of a workspace's upkeep."""

    def __init__(
        self, workspace: Workspace, indexing: Indexing, engine: EngineHost, host: Host, idle_s: float = IDLE_S
    ) -> None:
        super().__init__()
        self.name = f"reading {workspace.name}"
        self._ws, self._indexing, self._engine, self._host = workspace, indexing, engine, host
        self.on_read: Callable[[], None] = lambda: None  # something is resident, and the engine has time for more
        self._quiet, self._retry_s = Quiet(workspace.unasked, idle_s), RETRY_S
        self._doubtful = False  # an answer was given as if the prompt were not resident
        self._hurried = asyncio.Event()  # a failure is not waited out any more
        self._laid_out = asyncio.Event()  # what is resident is another, or will not be
        self._reading: asyncio.Task[Finished] | None = None
        self._due, self._patient, self._exactly = True, False, False
        self._repair: asyncio.TimerHandle | None = None  # while the prompt is resident, but not exactly
        self._known: dict[str, int] = {}
        self._told: frozenset[str] = frozenset()  # errata that were read without being asked about
        self._refused = 0  # characters told when folding them was last refused

    def touched(self) -> None:
        """Somebody has typed: look whether the prompt has become stale; what that asks for waits until it is quiet."""
        self._quiet.touched()
        self.look()

    def look(self) -> None:
        """Look whether the prompt has become stale, or can be read at last. Files that change by themselves may never
        be quiet: they are waited for once.
        """
        if self._ws.phase is Phase.LAYING_OUT:
            return  # what is resident now is about to be replaced
        if self._due:
            if self._ws.phase is Phase.FAILED and self._engine.model is not None:
                self.wake()
        elif self._outdated and not self._foldable:
            self._due = self._patient = True
            self._quiet.from_now()
            self.wake()
        elif self._foldable or self._untold():
            self.wake()

    def answered_early(self) -> None:
        """An answer was given without the prompt: another may have taken its place in the engine."""
        if self._ws.phase is Phase.READY and not self._due:
            self._doubtful = True
            self.wake()

    async def stop(self) -> None:
        """Stops and waits for it."""
        self._forget_repair()
        await super().stop()
        self._laid_out.set()

    def lay_out(self) -> None:
        """The prompt is to be laid out anew at once: the settings or the engine are others."""
        self._due, self._patient = True, False
        self._quiet.pressed.set()
        self.wake()

    async def make_room(self) -> bool:
        """Lays out at once what was told, because it leaves a request no room; whether there is a new layout now."""
        before = self._ws.resident
        if before is None or not before.errata:
            return False
        self._laid_out.clear()
        self._hurried.set()
        self.lay_out()
        if self._reading is not None:
            self._reading.cancel()  # of a layout that is about to be replaced
        await self._laid_out.wait()
        return self._ws.resident is not None and self._ws.resident.layout is not before.layout

    def engine_lost(self) -> None:
        """The engine is gone, and with it what it has read. The next one may have another context."""
        self._ws.warmed_tokens = 0
        self.lay_out()

    def model_changed(self) -> None:
        """The prompt is to be made again, for another model."""
        self._known.clear()
        self._ws.drop_resident()
        self._retry_s = RETRY_S
        self._hurried.set()
        self.lay_out()

    async def _step(self) -> None:
        self._hurried.clear()
        doubtful, self._doubtful = self._doubtful, False
        if not self._due and doubtful and not await self._is_resident():
            self.lay_out()
        if not self._due:
            await self._fold()
            await self._tell()
            return
        ws = self._ws
        ws.phase, ws.error = Phase.WAITING, ""
        client, model = await self._engine.ready()
        ws.ensure_resident(model)
        self._host.state_changed()
        if not self._indexing.ready.is_set():
            ws.phase = Phase.INDEXING
            await self._indexing.ready.wait()
        if self._patient:
            await self._quiet.wait()
        patient, exactly = self._patient, self._exactly
        self._due = self._patient = self._exactly = False
        self._quiet.pressed.clear()
        self._forget_repair()
        await self._lay_out(client, model, patient=patient)
        await self._warm(client, moves=ws.settings.engine.splices and not exactly)
        self._retry_s = RETRY_S

    async def _is_resident(self) -> bool:
        """Whether the engine still holds what it was given to read."""
        client, _ = await self._engine.ready()
        held = (await client.status()).resident.get(self._ws.key, 0)
        return held >= LOST_SHARE * self._ws.warmed_tokens

    @property
    def _outdated(self) -> bool:
        """Whether a new layout should be made when nobody waits."""
        resident, model = self._ws.resident, self._engine.model
        return resident is not None and (resident.stale or (model is not None and crowded(resident, model)))

    @property
    def _foldable(self) -> bool:
        """Whether enough was told to put it back into the body, and more than when that was last refused."""
        resident, ready = self._ws.resident, self._ws.phase is Phase.READY
        wanted = resident is not None and ready and self._ws.settings.engine.splices and resident.foldable
        return wanted and resident is not None and resident.moved > 1.5 * self._refused

    async def _fold(self) -> None:
        """Puts what was told back into the body, where the engine can do that without reading all that is behind it."""
        ws = self._ws
        if self._foldable and not self._due:
            self._quiet.from_now()  # what changes on disk comes in several batches
        while self._foldable and not self._due:
            await self._quiet.wait()
            resident = ws.resident
            if self._due or resident is None or not self._foldable:
                return
            client, _ = await self._engine.ready()
            layout = await fold(resident, client.count, self._known)
            made = Resident.start(layout, resident.index, resident.frame) if layout else None
            if made is None or (await client.reach(ws.key, made.whole)).exact:
                self._refused, since = resident.moved, self._quiet.due_since
                self.look()  # it may be so much that it is to be laid out anew
                self._quiet.due_since = since  # it was quiet for long enough already
                return
            if self._quiet.now:  # else somebody has come back while it was planned
                self._forget_repair()
                ws.start_resident(made.layout, made.index, made.frame)
                self._told, self._refused = frozenset(), 0
                await self._warm(client, moves=True)
                return

    def _untold(self) -> bool:
        """Whether much was changed since the last reading that no answer has read either, as far as is known here."""
        resident = self._ws.resident
        if resident is None or self._ws.phase is not Phase.READY:
            return False
        fresh = (e.segment for e in resident.errata if e.segment.key not in self._told)
        return sum(len(segment.visible) for segment in fresh) > TELL_TOKENS * BYTES_PER_TOKEN

    async def _tell(self) -> None:
        """Has changes read that are too many for an answer to wait for, and too few for a new layout."""
        while self._untold() and not self._due:
            await self._quiet.wait()
            resident = self._ws.resident
            if resident is None or self._due:
                return
            client, _ = await self._engine.ready()
            options = GenerateOptions(priority=Priority.WARM, max_tokens=0)
            async for _event in client.generate(self._ws.key, resident.head(), options):
                pass
            self._told = frozenset(e.segment.key for e in resident.errata)

    def _repair_later(self) -> None:
        """What was moved in the cache is read exactly when nobody has worked for a while."""
        left = self._quiet.left(REPAIR_AFTER)
        if left > 0 or not self._ws.unasked.is_set():
            self._repair = asyncio.get_running_loop().call_later(max(left, self._quiet.idle_s), self._repair_later)
        elif not self._due:
            self._due = self._patient = self._exactly = True
            self.wake()

    def _forget_repair(self) -> None:
        if self._repair is not None:
            self._repair.cancel()
            self._repair = None

    def _failed(self, message: str) -> None:
        self._ws.phase, self._ws.error = Phase.FAILED, message
        self._due = True
        self._laid_out.set()
        self._host.warn(message)

    async def _after_failure(self, error: Exception) -> None:
        """It is tried again, ever more seldom; a model that cannot be loaded is not, until somebody asks for it."""
        if isinstance(error, ModelError):
            return
        if isinstance(error, EngineUnavailable):
            self._engine.lost()
            self._ws.warmed_tokens = 0
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), self._retry_s)
        self._retry_s = min(RETRY_LIMIT_S, self._retry_s * 2)
        self.wake()

    async def _lay_out(self, client: EngineClient, model: ModelInfo, *, patient: bool) -> None:
        ws = self._ws
        ws.phase, index = Phase.LAYING_OUT, ws.index
        frame = frame_for(model, ws.name)
        head = sum(await client.count(frame.head))
        options = LayoutOptions(
            budget_tokens=budget(model, ws.settings.index.budget_tokens) - head,
            open_paths=tuple(path for path in ws.open_paths if path in index.files),
            recent_paths=ws.recent_paths,
            volatility=ws.volatility,
            previous=ws.resident.layout if ws.resident and ws.resident.layout is not NO_LAYOUT else None,
        )
        layout = await lay_out(index, options, client.count, self._known)
        used = {segment.key for segment in layout.segments}
        self._known = {key: n for key, n in self._known.items() if key in used}
        if patient:  # an answer may have begun meanwhile, whose requests share the head of before
            await self._quiet.unasked()
        ws.start_resident(layout, index, frame)
        if not self._quiet.pressed.is_set():  # else it is made once more at once
            self._laid_out.set()
        self._told, self._refused = frozenset(), 0
        self._host.state_changed()

    async def _warm(self, client: EngineClient, *, moves: bool) -> None:
        ws = self._ws
        if self._quiet.pressed.is_set():
            return  # it would be of a layout that is about to be replaced
        ws.phase = Phase.WARMING
        self._reading = asyncio.create_task(read(ws, client, self._host, self.name, moves=moves))
        try:
            finished = await unless_stopped(self._reading)
        finally:
            self._reading = None
        if finished is None:
            if not self._quiet.pressed.is_set():
                ws.phase = Phase.PAUSED  # the person stopped it; answers still come
            return
        self.on_read()
        ws.warmed_tokens = finished.cost.prompt or ws.warmed_tokens
        ws.phase = Phase.READY
        if not finished.cost.exact:
            self._repair = asyncio.get_running_loop().call_later(self._quiet.idle_s, self._repair_later)
        self._host.answered("warm", finished.cost, finished.reason)
        self._host.state_changed()
        self.look()  # what has changed meanwhile is told or folded, too
