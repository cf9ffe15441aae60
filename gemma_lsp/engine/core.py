"""The engine's heart: a queue and one thread that owns the context. Works the same in process and behind a socket.

`submit` may be called from any thread; replies come from the engine's threads and must not block.
Work is done in slices, and between two slices the most urgent run goes on (DESIGN: priorities in `messages.Priority`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gemma_lsp.base.errors import EngineError, EngineUnavailable, GemmaLspError, ModelInvalid
from gemma_lsp.engine.admission import Admission, failed
from gemma_lsp.engine.audience import Reply
from gemma_lsp.engine.backend import Aborted, Backend, NoSlot, ShiftFailed
from gemma_lsp.engine.messages import (
    Cancel,
    Count,
    Failed,
    Generate,
    Learn,
    LoadFailed,
    Loading,
    PutTexts,
    Ready,
    Request,
    Status,
    StatusReport,
    Warm,
)
from gemma_lsp.engine.run import Run
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.engine.trunks import Trunks

log = logging.getLogger(__name__)
STOPPED = "the engine has stopped"


class Engine:
    """Owns one backend from `start` to `close`. Every request is answered exactly once, also when it is closed."""

    def __init__(
        self,
        load: Callable[[Callable[[float], None]], Backend],
        snapshots: Callable[[str], SnapshotStore] | None = None,
    ) -> None:
        self._load = load
        self._open_snapshots = snapshots
        self._backend: Backend | None = None
        self._failure: LoadFailed | None = None
        self._watchers: list[Reply] = []
        self._runs: list[Run] = []
        self._current: Run | None = None
        self._trunks: Trunks | None = None
        lock = threading.RLock()
        self._wake = threading.Condition(lock)
        self._closed = self._dead = self._shifts_tried = False
        self._admission = Admission(lock, self._enqueue)
        self._tables = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tables")  # so that no text waits for them
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)

    # -- any thread ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread, which loads the model first."""
        self._thread.start()

    @property
    def dead(self) -> bool:
        """Whether its thread has ended without being asked to: there will be no more answers."""
        return self._dead

    def watch(self, reply: Reply) -> None:
        """Sends `Loading` until the model is loaded, then `Ready` or `LoadFailed`, to `reply`."""
        with self._wake:
            if self._dead:
                reply(LoadFailed(error="EngineUnavailable", message=STOPPED))
            elif self._backend:
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
                    reply(Failed(id=id_, error="EngineUnavailable", message=STOPPED))
                case PutTexts(texts=texts):
                    self._admission.put(texts)
                case Cancel(id=id_):
                    self._cancel(id_)
                case Status(id=id_):
                    reply(self._status(id_))
                case Generate() | Warm() | Count() | Learn():
                    if isinstance(request, Generate) and request.supersedes:
                        self._supersede(request)
                    self._admission.take(request, reply)

    def close(self) -> None:
        """Stops the thread; whatever is unanswered is answered by `Failed`."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._admission.stop()
        with self._wake:
            self._admission.refuse(STOPPED)

    # -- the queue (under the lock) ----------------------------------------------------------------------------------

    def _enqueue(self, run: Run, early: Run | None) -> None:
        with self._wake:
            if self._dead:
                self._fail(run, EngineUnavailable(STOPPED))
                return
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
        if self._admission.cancel(id_):
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
        self._admission.supersede(newer)

    def _status(self, id_: str) -> StatusReport:
        return StatusReport(
            id=id_,
            model=self._backend.info if self._backend else None,
            resident=self._trunks.resident() if self._trunks else {},
            queued=len(self._runs) + len(self._admission),
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
            self._backend = backend
            store = self._open_snapshots(backend.identity) if self._open_snapshots else None
            self._trunks = Trunks(backend, store)
            for watcher in self._watchers:
                watcher(Ready(model=backend.info))
            self._watchers.clear()
            self._admission.loaded(backend)
            self._tables.submit(backend.tokens_compatible, b" ")  # builds its table before a cursor needs it
        try:
            while self._turn():
                pass
        except Exception:
            log.exception("the engine's thread has failed")
            self._dead = True
        finally:
            with self._wake:
                self._closed = True
                left = list(self._runs)
            for run in left:
                self._fail(run, EngineUnavailable(STOPPED))
            self._trunks.close()
            self._tables.shutdown(wait=True, cancel_futures=True)
            self._admission.stop()  # what it has taken on is answered, and both read the model
            with self._wake:
                self._admission.refuse(STOPPED)
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
            self._admission.failed(self._failure)

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
            run = self._current = min(self._runs, key=lambda r: r.priority)
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
                self._keep(run)
                self._try_shifts(run)
        return True

    def _keep(self, run: Run) -> None:
        """Has what is resident written to disk, if that can be done."""
        assert self._trunks
        try:
            self._trunks.keep(run)
        except Exception:  # a disk, or memory for the copy: neither is worth an answer
            log.exception("what is resident could not be written to disk")

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
        # For one that only looks no batch is given up.
        return min((r.priority for r in list(self._runs) if not r.dry), default=run.priority) < run.priority

    def _fail(self, run: Run, error: Exception) -> None:
        with self._wake:
            if run in self._runs:
                self._runs.remove(run)
            self._current = None
        for listener in run.fail():
            listener.reply(failed(listener.id, error))


def _same_request(a: Generate, b: Generate) -> bool:
    """Whether they have the same answer: what may be remembered belongs to it, and is not seen in a prompt."""
    return (a.workspace, a.prompt, a.max_tokens, a.stop, a.sampling, a.heal, a.around, a.alone) == (
        b.workspace,
        b.prompt,
        b.max_tokens,
        b.stop,
        b.sampling,
        b.heal,
        b.around,
        b.alone,
    )


def _same(a: Run, b: Run) -> bool:
    one, two = a.request, b.request
    return isinstance(one, Generate) and isinstance(two, Generate) and _same_request(one, two)
