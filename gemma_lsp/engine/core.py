"""The engine's heart: a queue and one thread that owns the context. Works the same in process and behind a socket.

`submit` may be called from any thread; replies come from the engine's threads and must not block.
Work is done in slices, and between two slices the most urgent run goes on (DESIGN: priorities in `messages.Priority`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gemma_lsp.base.errors import ENGINE_ERRORS, EngineError, GemmaLspError, ModelInvalid
from gemma_lsp.engine.audience import Listener, Reply
from gemma_lsp.engine.backend import Aborted, Backend, NoSlot, ShiftFailed
from gemma_lsp.engine.messages import (
    Cancel,
    Count,
    Counted,
    Failed,
    Finished,
    Generate,
    LoadFailed,
    Loading,
    NeedTexts,
    PutTexts,
    Ready,
    Request,
    SegmentRef,
    Status,
    StatusReport,
    Warm,
)
from gemma_lsp.engine.messages import Cost as NoCost
from gemma_lsp.engine.run import Run, check_fits
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.engine.speculation import Speculation
from gemma_lsp.engine.texts import TokenStore, wanted_of
from gemma_lsp.engine.trunks import Trunks
from gemma_lsp.kv.plan import Wanted

log = logging.getLogger(__name__)


class Engine:
    """Owns one backend from `start` to `close`. Every request is answered exactly once, also when it is closed."""

    def __init__(
        self,
        load: Callable[[Callable[[float], None]], Backend],
        snapshots: Callable[[str], SnapshotStore] | None = None,
    ) -> None:
        self._load = load
        self._open_snapshots = snapshots
        self._speculation = Speculation()
        self._backend: Backend | None = None
        self._failure: LoadFailed | None = None
        self._store: TokenStore | None = None
        self._watchers: list[Reply] = []
        self._texts: dict[str, str] = {}
        self._waiting: dict[str, tuple[Generate | Warm | Count, Reply]] = {}  # for texts, or for the model
        self._runs: list[Run] = []
        self._current: Run | None = None
        self._trunks: Trunks | None = None
        self._wake = threading.Condition(threading.RLock())
        self._closed = self._shifts_tried = False
        self._vocabulary = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._tables = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tables")  # so that no text waits for them
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)

    # -- any thread ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread, which loads the model first."""
        self._thread.start()

    def watch(self, reply: Reply) -> None:
        """Sends `Loading` until the model is loaded, then `Ready` or `LoadFailed`, to `reply`."""
        with self._wake:
            if self._backend:
                reply(Ready(model=self._backend.info))
            elif self._failure:
                reply(self._failure)
            else:
                self._watchers.append(reply)

    def submit(self, request: Request, reply: Reply) -> None:
        """Takes a request; its answer goes to `reply`."""
        with self._wake:
            match request:
                case _ if self._closed:
                    id_ = getattr(request, "id", "")
                    reply(Failed(id=id_, error="EngineUnavailable", message="the engine has stopped"))
                case PutTexts(texts=texts):
                    self._texts.update(texts)
                    self._admit_waiting()
                case Cancel(id=id_):
                    self._cancel(id_)
                case Status(id=id_):
                    reply(self._status(id_))
                case Generate() | Warm() | Count():
                    self._waiting[request.id] = (request, reply)
                    if isinstance(request, Generate) and request.supersedes:
                        self._supersede(request)
                    self._admit_waiting()

    def close(self) -> None:
        """Stops the thread; whatever is unanswered is answered by `Failed`."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._vocabulary.shutdown(wait=True)
        with self._wake:
            for request, reply in self._waiting.values():
                reply(Failed(id=request.id, error="EngineUnavailable", message="the engine has stopped"))
            self._waiting.clear()

    # -- admission (under the lock) --------------------------------------------------------------------------------

    def _admit_waiting(self) -> None:
        if self._failure:
            for request, reply in self._waiting.values():
                reply(Failed(id=request.id, error=self._failure.error, message=self._failure.message))
            self._waiting.clear()
        if not self._store:
            return
        for request, reply in list(self._waiting.values()):
            missing = self._store.missing(_refs(request), self._texts)
            if missing:
                reply(NeedTexts(id=request.id, keys=missing))
            else:
                del self._waiting[request.id]
                # Tokenising happens on its own thread, so that a large prompt never delays a running answer.
                texts = {r.key: self._texts[r.key] for r in _refs(request) if r.key in self._texts}
                self._vocabulary.submit(self._admit, request, reply, texts)
        if not self._waiting:
            self._texts.clear()

    def _admit(self, request: Generate | Warm | Count, reply: Reply, texts: dict[str, str]) -> None:
        try:
            assert self._store
            assert self._backend
            if isinstance(request, Count):
                counts = tuple(
                    sum(len(w.tokens) for w in wanted_of(r, self._store.tokens(r, texts), self._backend.piece))
                    for r in request.segments
                )
                reply(Counted(id=request.id, counts=counts))
                return
            early = self._wanted(request.early, texts) if isinstance(request, Generate) else []
            listener, backend, guess = Listener(request.id, reply), self._backend, self._speculation
            run = Run(request, listener, self._wanted(request.prompt, texts), backend, guess)
            run_early = Run(request, listener, early, backend, guess) if len(early) > 1 else None
            check_fits(run_early or run, self._backend.info.n_ctx)
            self._enqueue(run, run_early)
        except Exception as error:
            reply(_failed(request.id, error))

    def _wanted(self, refs: tuple[SegmentRef, ...], texts: dict[str, str]) -> list[Wanted]:
        assert self._store
        assert self._backend
        bos = self._backend.bos
        head = [Wanted("bos", "preamble", (bos,))] if bos is not None else []
        piece = self._backend.piece
        return [*head, *(w for r in refs for w in wanted_of(r, self._store.tokens(r, texts), piece))]

    def _enqueue(self, run: Run, early: Run | None) -> None:
        with self._wake:
            if self._closed:
                run.finish("cancelled")
                return
            twin = next((r for r in self._runs if not r.abandoned and _same(r, run)), None)
            if twin:
                twin.hurry(run)
                twin.attach(run.listeners[0])
                return
            run.stand_in = early
            self._runs.append(run)
            self._wake.notify_all()

    def _cancel(self, id_: str) -> None:
        if id_ in self._waiting:
            request, reply = self._waiting.pop(id_)
            reply(Finished(id=request.id, text="", reason="cancelled", cost=NoCost()))
            return
        for run in self._runs:
            for listener in run.listeners:
                if listener.id == id_:
                    if len(run.listeners) > 1:
                        run.detach(listener)
                    else:
                        run.abandoned = "cancelled"
                    return

    def _supersede(self, newer: Generate) -> None:
        for run in self._runs:
            old = run.request
            if isinstance(old, Generate) and old.supersedes == newer.supersedes and not _same_request(old, newer):
                run.abandoned = run.abandoned or "superseded"
        for request, reply in list(self._waiting.values()):
            if isinstance(request, Generate) and request.supersedes == newer.supersedes and request is not newer:
                del self._waiting[request.id]
                reply(Finished(id=request.id, text="", reason="superseded", cost=NoCost()))

    def _status(self, id_: str) -> StatusReport:
        return StatusReport(
            id=id_,
            model=self._backend.info if self._backend else None,
            resident=self._trunks.resident() if self._trunks else {},
            queued=len(self._runs) + len(self._waiting),
            running=type(self._current.request).__name__ if self._current else "",
        )

    # -- the engine's thread ---------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            backend = self._load(self._on_loading)
        except Exception as error:
            self._load_failed(error)
            return
        with self._wake:
            self._backend, self._store = backend, TokenStore(backend.tokenize)
            store = self._open_snapshots(backend.identity) if self._open_snapshots else None
            self._trunks = Trunks(backend, store)
            for watcher in self._watchers:
                watcher(Ready(model=backend.info))
            self._watchers.clear()
            self._admit_waiting()
            self._tables.submit(backend.tokens_compatible, b" ")  # builds its table before a cursor needs it
        try:
            while self._turn():
                pass
        finally:
            self._trunks.close()
            with self._wake:
                self._closed = True
            self._tables.shutdown(wait=True, cancel_futures=True)
            self._vocabulary.shutdown(wait=True)  # what it has taken on is answered, and both read the model
            backend.close()

    def _on_loading(self, fraction: float) -> None:
        with self._wake:
            for watcher in self._watchers:
                watcher(Loading(fraction=fraction))

    def _load_failed(self, error: Exception) -> None:
        if not isinstance(error, GemmaLspError):
            log.exception("loading the model failed")
            error = ModelInvalid(f"the model could not be loaded: {error}")
        with self._wake:
            self._failure = LoadFailed(error=type(error).__name__, message=str(error))
            for watcher in self._watchers:
                watcher(self._failure)
            self._watchers.clear()
            self._admit_waiting()

    def _turn(self) -> bool:
        """One slice of the most urgent run; False when the engine is closed."""
        with self._wake:
            while not self._runs and not self._closed:
                self._wake.wait()
            if self._closed:
                for run in self._runs:
                    run.finish("cancelled")
                self._runs.clear()
                return False
            run = self._current = min(self._runs, key=lambda r: r.request.priority)
        try:
            reason = run.abandoned or self._step(run)
        except Exception as error:
            self._fail(run, error)
            return True
        if reason:
            with self._wake:
                self._runs.remove(run)
                self._current = None
            run.finish(reason)
            if reason == "done":
                assert self._trunks
                self._trunks.keep(run)
                self._try_shifts(run)
        return True

    def _try_shifts(self, run: Run) -> None:
        """Has it found out whether cells can be moved, when the first prompt that may need it is there."""
        if self._shifts_tried or not self._backend or not (isinstance(run.request, Warm) and run.request.moves):
            return
        self._shifts_tried = True
        # Nobody waits for this thread: it may take a minute, and needs nothing of the model that is loaded here.
        threading.Thread(target=self._backend.try_shifts, name="shifts", daemon=True).start()

    def _step(self, run: Run) -> str:
        assert self._trunks
        trunk = self._trunks.for_run(run)
        try:
            return run.step(trunk, lambda: self._should_abort(run))
        except ShiftFailed as error:
            log.warning("%s", error)
            self._trunks.clear()
            return ""
        except Aborted:
            return run.abandoned or ("deadline" if run.overdue else "")
        except NoSlot:
            if self._trunks.evict(trunk):
                return ""
            crowded = bool(trunk.ledger.hidden)  # masked tokens keep their cells: a fresh start has room
            trunk.clear()
            if not crowded:
                raise EngineError("the cache is full; lower index.budget_tokens or raise model.n_ctx") from None
            return ""

    def _should_abort(self, run: Run) -> bool:
        """Asked by the backend inside a batch: is this batch no longer what should be computed?"""
        if run.abandoned or run.overdue or self._closed:
            return True
        most_urgent = min((r.request.priority for r in list(self._runs)), default=run.request.priority)
        return most_urgent < run.request.priority

    def _fail(self, run: Run, error: Exception) -> None:
        if not isinstance(error, GemmaLspError):
            log.exception("a request failed")
        with self._wake:
            if run in self._runs:
                self._runs.remove(run)
            self._current = None
        for listener in run.fail():
            listener.reply(_failed(listener.id, error))


def _refs(request: Generate | Warm | Count) -> tuple[SegmentRef, ...]:
    if isinstance(request, Count):
        return request.segments
    return request.prompt + (request.early if isinstance(request, Generate) else ())


def _same_request(a: Generate, b: Generate) -> bool:
    return (a.workspace, a.prompt, a.max_tokens, a.stop, a.sampling, a.heal) == (
        b.workspace,
        b.prompt,
        b.max_tokens,
        b.stop,
        b.sampling,
        b.heal,
    )


def _same(a: Run, b: Run) -> bool:
    one, two = a.request, b.request
    return isinstance(one, Generate) and isinstance(two, Generate) and _same_request(one, two)


def _failed(id_: str, error: Exception) -> Failed:
    name = type(error).__name__
    if name not in ENGINE_ERRORS:
        name = next((k.__name__ for k in type(error).__mro__ if k.__name__ in ENGINE_ERRORS), "EngineError")
    return Failed(id=id_, error=name, message=str(error) or "the engine failed; see its log")
