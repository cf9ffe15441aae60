"""An engine client over any transport of messages. Only the event loop's thread may use it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

from gemma_lsp.base.errors import ENGINE_ERRORS, EngineError, EngineUnavailable
from gemma_lsp.engine import messages
from gemma_lsp.engine.client import Around, GenerateOptions
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Cancel,
    Cost,
    Count,
    Counted,
    Delta,
    Event,
    Failed,
    Finished,
    Generate,
    Learn,
    LoadFailed,
    Loading,
    ModelInfo,
    NeedTexts,
    Progress,
    PutTexts,
    Ready,
    Request,
    SegmentRef,
    Status,
    StatusReport,
    Warm,
)
from gemma_lsp.prompt.segments import Prompt, Segment


class AskingClient:
    """Implements `EngineClient`; a subclass supplies `_send` and calls `deliver` and `lost`.

    Invariant: every request that was sent is either answered through its queue or told by `lost`.
    """

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._pending: dict[str, tuple[asyncio.Queue[Event], dict[str, str]]] = {}
        self._model: ModelInfo | None = None
        self._ready: asyncio.Future[ModelInfo] | None = None
        self._dead = ""  # why there will be no engine any more
        self.on_loading: Callable[[float], None] = lambda fraction: None
        self.on_lost: Callable[[], None] = lambda: None  # the engine is gone, with what it held
        self.on_early: Callable[[str], None] = lambda workspace: None  # an answer was given without what it has read

    def _send(self, request: Request) -> None:
        raise EngineUnavailable("the engine is not connected")

    # -- EngineClient ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> ModelInfo | None:
        """The model once it is loaded."""
        return self._model

    async def ready(self) -> ModelInfo:
        """Waits for the model."""
        if self._dead:
            raise EngineUnavailable(self._dead)
        return await asyncio.shield(self._waiting())

    async def count(self, segments: Sequence[Segment]) -> list[int]:
        """Tokens of each segment."""
        async for event in self._ask(Count(id=self._new_id(), segments=_refs(segments)), segments):
            if isinstance(event, Counted):
                return list(event.counts)
        raise EngineError("the engine did not count")

    async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
        """Has files remembered; see `EngineClient`."""
        async for event in self._ask(Learn(id=self._new_id(), memory=memory, texts=_refs(texts)), texts):
            if isinstance(event, Counted):
                return sum(event.counts)
        raise EngineError("the engine did not learn")

    async def generate(
        self, workspace: str, prompt: Prompt, options: GenerateOptions
    ) -> AsyncIterator[Delta | Finished]:
        """Streams an answer; see `EngineClient`."""
        request = Generate(
            id=self._new_id(),
            workspace=workspace,
            prompt=_refs(prompt),
            priority=int(options.priority),
            max_tokens=options.max_tokens,
            stop=options.stop,
            sampling=options.sampling,
            heal=options.heal,
            deadline_ms=options.deadline_ms,
            supersedes=options.supersedes,
            early=_refs(options.early),
            early_over=options.early_over,
            guess=options.guess,
            around=_around(options.around),
            alone=options.alone,
        )
        text, cancelled = "", False
        around = (*options.around.before, *options.around.behind) if options.around else ()
        async for event in self._ask(request, (*prompt, *options.early, *around)):
            if isinstance(event, Finished) and event.cost.early:
                self.on_early(workspace)
            if isinstance(event, Delta | Finished):
                yield event
            if isinstance(event, Delta) and options.enough and not cancelled:
                text += event.text
                cancelled = options.enough(text)
                if cancelled:
                    self._quietly(Cancel(id=request.id))

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        """Makes a prompt resident; see `EngineClient`."""
        request = Warm(id=self._new_id(), workspace=workspace, prompt=_refs(prompt), moves=moves)
        async for event in self._ask(request, prompt):
            if isinstance(event, Progress):
                on_progress(event)
            elif isinstance(event, Finished):
                return event
        raise EngineError("the engine did not finish")

    async def reach(self, workspace: str, prompt: Prompt) -> Cost:
        """What it would take to make a prompt resident; see `EngineClient`."""
        request = Warm(id=self._new_id(), workspace=workspace, prompt=_refs(prompt), moves=True, dry=True)
        async for event in self._ask(request, prompt):
            if isinstance(event, Finished):
                return event.cost
        raise EngineError("the engine did not finish")

    async def status(self) -> StatusReport:
        """The engine's state."""
        async for event in self._ask(Status(id=self._new_id()), ()):
            if isinstance(event, StatusReport):
                return event
        raise EngineError("the engine did not report")

    async def close(self) -> None:
        """Fails what is pending."""
        self.lost("the engine was closed", for_good=True)

    # -- transport -------------------------------------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """An event came in."""
        match event:
            case Loading(fraction=fraction):
                self.on_loading(fraction)
            case Ready(model=model):
                self._model = model
                if not self._waiting().done():
                    self._waiting().set_result(model)
            case LoadFailed(error=name, message=message):
                if not self._waiting().done():
                    self._waiting().set_exception(ENGINE_ERRORS.get(name, EngineError)(message))
                    self._waiting().exception()  # looked at, so that nobody is told of an unread failure
            case NeedTexts(id=id_, keys=keys):
                if id_ in self._pending:
                    texts = self._pending[id_][1]
                    self._send(PutTexts(texts={key: texts[key] for key in keys if key in texts}))
            case _:
                if event.id in self._pending:
                    self._pending[event.id][0].put_nowait(event)

    def lost(self, why: str, *, for_good: bool = False) -> None:
        """The transport is gone: whoever waits is told. A later `ready` waits for the next engine, if one will come."""
        self._dead = why if for_good else ""
        for id_, (queue, _) in self._pending.items():
            queue.put_nowait(Failed(id=id_, error="EngineUnavailable", message=why))
        self._model = None
        if self._ready and not self._ready.done():
            self._ready.set_exception(EngineUnavailable(why))
            self._ready.exception()
        self._ready = None
        self.on_lost()

    async def _ask(
        self, request: Generate | Warm | Count | Learn | Status, segments: Sequence[Segment]
    ) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._pending[request.id] = (queue, {s.key: s.text for s in segments})
        ended = False
        try:
            self._send(request)
            while not ended:
                event = await queue.get()
                ended = isinstance(event, Failed | Finished | Counted | StatusReport)
                if isinstance(event, Failed):
                    raise ENGINE_ERRORS.get(event.error, EngineError)(event.message)
                yield event
        finally:
            del self._pending[request.id]
            if not ended:
                self._quietly(Cancel(id=request.id))

    def _quietly(self, request: Request) -> None:
        with contextlib.suppress(EngineUnavailable):  # the request died with its engine
            self._send(request)

    def _waiting(self) -> asyncio.Future[ModelInfo]:
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
        return self._ready

    def _new_id(self) -> str:
        return str(next(self._ids))


class LocalClient(AskingClient):
    """An engine in this process: tests, and commands that need no second process."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        engine.watch(self._reply)

    def _send(self, request: Request) -> None:
        self._engine.submit(request, self._reply)

    def _reply(self, event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everyone who waited
            self._loop.call_soon_threadsafe(self.deliver, event)

    async def close(self) -> None:
        """Stops the engine."""
        await super().close()
        await asyncio.to_thread(self._engine.close)


def _around(around: Around | None) -> messages.Around | None:
    if around is None:
        return None
    return messages.Around(
        memory=around.memory, before=_refs(around.before), behind=_refs(around.behind), without=around.without
    )


def _refs(segments: Sequence[Segment]) -> tuple[SegmentRef, ...]:
    return tuple(SegmentRef(s.key, s.region.value, s.special, s.shown_bytes) for s in segments)
