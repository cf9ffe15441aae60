"""The one engine of the session: connected on demand, connected again after it died. Event loop only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

from gemma_lsp.app.ports import EngineFactory, Host, TaskView
from gemma_lsp.app.threads import in_thread
from gemma_lsp.base.errors import EngineUnavailable, GemmaLspError, ModelError
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.asking import AskingClient
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.models.trust import Trust, trust_in

log = logging.getLogger(__name__)
CLOSE_LIMIT_S = 2.0
COME_BACK_LIMIT_S = 120.0  # for an engine that died and is started again by its client


class EngineState(StrEnum):
    """Where the engine stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class EngineHost:
    """Owns the engine client. Invariant: `ready()` of the same settings asks the factory once, until it fails."""

    def __init__(self, factory: EngineFactory, host: Host) -> None:
        self._factory, self._host = factory, host
        self._settings: Settings | None = None
        self._told = asyncio.Event()  # the settings are known
        self._client: EngineClient | None = None
        self._starting: asyncio.Task[ModelInfo] | None = None
        self.error = ""
        self.unloadable = False  # the error is the model's: it stays until a person changes something
        self.trust = Trust(reviews=False)  # in a model's findings; `ready` waits until it is known
        self.on_lost: Callable[[], None] = lambda: None  # it died, maybe while nobody waited
        self.on_early: Callable[[str], None] = lambda workspace: None  # what it has read was not there for an answer
        self._loading: TaskView | None = None

    @property
    def client(self) -> EngineClient | None:
        """The client, connected or on the way."""
        return self._client

    @property
    def model(self) -> ModelInfo | None:
        """The model once it is loaded."""
        return self._client.model if self._client is not None else None

    @property
    def state(self) -> EngineState:
        """For status and for those who need not wait."""
        if self.error:
            return EngineState.FAILED
        if self.model is not None:
            return EngineState.READY
        return EngineState.STOPPED if self._starting is None else EngineState.STARTING

    async def use(self, settings: Settings) -> None:
        """From now on the engine of these settings; a running one of others is let go."""
        if self._settings is not None and (self._settings.model, self._settings.engine) != (
            settings.model,
            settings.engine,
        ):
            await self.close()
        self._settings = settings
        self._told.set()

    async def ready(self) -> tuple[EngineClient, ModelInfo]:
        """Waits for `use` and the model. Raises `ModelError` or `EngineUnavailable`; the next call then tries again."""
        if self._starting is None:
            self.error, self.unloadable = "", False
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # maybe nobody waits
        starting = self._starting
        try:
            model = await asyncio.shield(starting)
        except GemmaLspError as error:
            if self._starting is starting:
                self._starting, self.error, self.unloadable = None, str(error), isinstance(error, ModelError)
            raise
        if self._client is None:
            raise EngineUnavailable("the engine was closed")
        return self._client, model

    def lost(self) -> None:
        """The engine is gone: the next `ready` waits for it to come back."""
        if self.model is None and self._starting is not None and self._starting.done():
            self._starting = None

    async def close(self) -> None:
        """Lets go of the engine."""
        client, starting = self._client, self._starting
        self._client = self._starting = None
        self.error, self.unloadable = "", False
        if starting is not None and not starting.done():
            starting.cancel()
        if client is not None:
            with contextlib.suppress(TimeoutError, GemmaLspError, OSError):
                await asyncio.wait_for(client.close(), CLOSE_LIMIT_S)

    async def _start(self) -> ModelInfo:
        await self._told.wait()
        assert self._settings is not None
        try:
            if self._client is not None:
                async with asyncio.timeout(COME_BACK_LIMIT_S):
                    return await self._client.ready()
            self._client = await self._factory(self._settings)
            if isinstance(self._client, AskingClient):
                self._client.on_loading = self._on_loading
                self._client.on_lost = partial(self._on_lost, self._client)
                self._client.on_early = self._on_early
            model = await self._client.ready()
            self.trust = await in_thread(lambda _: trust_in(Path(model.path)), "trust")
            return model
        except TimeoutError:
            await self._drop_client()
            raise EngineUnavailable("the engine did not come back; it is started anew") from None
        except GemmaLspError:
            await self._drop_client()
            raise
        except Exception as error:
            log.exception("the engine could not be started")
            await self._drop_client()
            raise EngineUnavailable(f"the engine could not be started: {error}; see the log") from error
        finally:
            self._loaded()

    def _on_lost(self, client: EngineClient) -> None:
        if client is self._client:  # else it was let go
            self.lost()
            self.on_lost()

    def _on_early(self, workspace: str) -> None:
        self.on_early(workspace)

    def _on_loading(self, fraction: float) -> None:
        """A model that takes a while is seen coming."""
        if self._loading is None:
            self._loading = self._host.begin_task("loading the model")
        self._loading.report(f"{fraction:.0%}", round(100 * fraction))

    def _loaded(self) -> None:
        view, self._loading = self._loading, None
        if view is not None:
            view.end("loaded" if self.model is not None else "failed")

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.close()
