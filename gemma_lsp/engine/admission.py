"""Requests on their way into the queue: they wait for the model and for texts, and are tokenised by their own thread.

Every method but that thread's own is called under the engine's lock.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gemma_lsp.base.errors import ENGINE_ERRORS, EngineUnavailable, GemmaLspError
from gemma_lsp.engine.audience import Listener, Reply
from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.messages import (
    Around,
    Count,
    Counted,
    Failed,
    Finished,
    Generate,
    Learn,
    LoadFailed,
    NeedTexts,
    SegmentRef,
    Warm,
)
from gemma_lsp.engine.messages import Cost as NoCost
from gemma_lsp.engine.run import Run, check_fits
from gemma_lsp.engine.speculation import Speculation
from gemma_lsp.engine.texts import TextGone, TokenStore, wanted_of
from gemma_lsp.kv.plan import Wanted

if TYPE_CHECKING:
    from gemma_lsp.engine.ngrams import NgramIndex
    from gemma_lsp.engine.recall import Recall

log = logging.getLogger(__name__)
Asked = Generate | Warm | Count | Learn
MAX_LEARNED = 4_000_000  # tokens of all that is remembered: 80 MB


@dataclass(slots=True)
class _Entry:
    """A request that is not a run yet; `unwanted`: why it will be none; `sent_for`: texts that are on their way."""

    request: Asked
    reply: Reply
    unwanted: str = ""
    sent_for: frozenset[str] = frozenset()


class Admission:
    """Invariant: a request is waiting, being tokenised, or has been handed on or answered; never two of them."""

    def __init__(self, lock: threading.RLock, enqueue: Callable[[Run, Run | None], None]) -> None:
        self._lock, self._enqueue = lock, enqueue
        self._backend: Backend | None = None
        self._store: TokenStore | None = None
        self._failure: LoadFailed | None = None
        self._speculation = Speculation()
        self._stopped = False
        self._texts: dict[str, str] = {}
        self._waiting: dict[str, _Entry] = {}  # for texts, or for the model
        self._tokenising: dict[str, _Entry] = {}
        self._vocabulary = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._learning = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learning")  # takes seconds
        self._learned: OrderedDict[str, NgramIndex] = OrderedDict()  # by name, the last asked about last

    def __len__(self) -> int:
        return len(self._waiting) + len(self._tokenising)

    def take(self, request: Asked, reply: Reply) -> None:
        """A new request."""
        self._waiting[request.id] = _Entry(request, reply)
        self._go_on()

    def put(self, texts: dict[str, str]) -> None:
        """Texts that were asked for."""
        self._texts.update(texts)
        self._go_on()

    def loaded(self, backend: Backend) -> None:
        """The model is there."""
        self._backend, self._store = backend, TokenStore(backend.tokenize)
        self._go_on()

    def failed(self, failure: LoadFailed) -> None:
        """There is no model, and will be none."""
        self._failure = failure
        self._go_on()

    def cancel(self, id_: str) -> bool:
        """Whether the request was here; then nobody waits for it any more."""
        if (entry := self._waiting.pop(id_, None)) is not None:
            entry.reply(Finished(id=id_, text="", reason="cancelled", cost=NoCost()))
            return True
        if (entry := self._tokenising.get(id_)) is not None:
            entry.unwanted = "cancelled"
        return entry is not None

    def supersede(self, newer: Generate) -> None:
        """Older requests of the same kind are answered at once, or as soon as they are tokenised."""
        for entries in (self._waiting, self._tokenising):
            for id_, entry in list(entries.items()):
                older = entry.request
                if not isinstance(older, Generate) or older.supersedes != newer.supersedes or older.id == newer.id:
                    continue
                entry.unwanted = "superseded"
                if entries is self._waiting:
                    del self._waiting[id_]
                    entry.reply(Finished(id=id_, text="", reason="superseded", cost=NoCost()))

    def stop(self) -> None:
        """Waits for what is being tokenised; whatever waits goes on waiting, to be refused. Not under the lock."""
        with self._lock:
            self._stopped = True
        self._vocabulary.shutdown(wait=True)
        self._learning.shutdown(wait=True)

    def refuse(self, message: str) -> None:
        """Answers whoever still waits."""
        for entry in self._waiting.values():
            entry.reply(Failed(id=entry.request.id, error="EngineUnavailable", message=message))
        self._waiting.clear()

    def _go_on(self) -> None:
        if self._failure:
            for entry in self._waiting.values():
                failed = Failed(id=entry.request.id, error=self._failure.error, message=self._failure.message)
                entry.reply(failed)
            self._waiting.clear()
        if not self._store or self._stopped:
            return
        for id_, entry in list(self._waiting.items()):
            refs = _refs(entry.request)
            if missing := self._store.missing(refs, self._texts):
                if new := tuple(key for key in missing if key not in entry.sent_for):
                    entry.sent_for |= frozenset(new)
                    entry.reply(NeedTexts(id=id_, keys=new))
                continue
            self._tokenising[id_] = self._waiting.pop(id_)
            # Tokenising happens on its own thread, so that a large prompt never delays a running answer.
            texts = {r.key: self._texts[r.key] for r in refs if r.key in self._texts}
            pool = self._learning if isinstance(entry.request, Learn) else self._vocabulary
            pool.submit(self._tokenise, entry, texts)
        if not self._waiting:
            self._texts.clear()

    # -- the tokenising thread -------------------------------------------------------------------------------------

    def _tokenise(self, entry: _Entry, texts: dict[str, str]) -> None:
        request = entry.request
        try:
            if isinstance(request, Count):
                counts = tuple(sum(len(w.tokens) for w in self._tokens(r, texts)) for r in request.segments)
                with self._lock:
                    self._tokenising.pop(request.id, None)
                entry.reply(Counted(id=request.id, counts=counts))
                return
            if isinstance(request, Learn):
                learned = self._learn(entry, request, texts)
                with self._lock:
                    self._tokenising.pop(request.id, None)
                entry.reply(learned)
                return
            run, early = self._runs(request, entry.reply, texts)
            with self._lock:
                self._tokenising.pop(request.id, None)
                if entry.unwanted:
                    run.finish(entry.unwanted)
                else:
                    self._enqueue(run, early)
        except TextGone:  # other texts have pushed it out since it was looked for
            with self._lock:
                del self._tokenising[request.id]
                if entry.unwanted:  # whoever asked would not send its text again
                    entry.reply(Finished(id=request.id, text="", reason=entry.unwanted, cost=NoCost()))
                else:
                    entry.sent_for = frozenset()
                    self._waiting[request.id] = entry
                    self._go_on()
        except Exception as error:
            with self._lock:
                self._tokenising.pop(request.id, None)
            entry.reply(failed(request.id, error))

    def _runs(self, request: Generate | Warm, reply: Reply, texts: dict[str, str]) -> tuple[Run, Run | None]:
        """The run, and its stand-in with the shorter prompt."""
        assert self._backend
        listener = Listener(request.id, reply)
        early = self._wanted(request.early, texts) if isinstance(request, Generate) else []
        shared = self._backend, self._speculation, self._recall(request, texts)
        run = Run(request, listener, self._wanted(request.prompt, texts), *shared)
        stand_in = Run(request, listener, early, *shared) if len(early) > 1 else None
        check_fits(stand_in or run, self._backend.info.n_ctx)
        return run, stand_in

    def _learn(self, entry: _Entry, request: Learn, texts: dict[str, str]) -> Counted | Finished:
        """Takes seconds, so it ends where nobody waits for it any more. Raises `EngineUnavailable` when stopped."""
        from gemma_lsp.engine.ngrams import NgramIndex  # numpy: the server imports this module, and never comes here

        tokens: dict[str, array[int]] = {}
        for ref in request.texts:
            if self._stopped:
                raise EngineUnavailable("the engine has stopped")
            if entry.unwanted:
                return Finished(id=request.id, text="", reason=entry.unwanted, cost=NoCost())
            tokens[ref.key] = self._flat((ref,), texts)
        index = NgramIndex(tokens)
        with self._lock:
            self._learned[request.memory] = index
            self._learned.move_to_end(request.memory)
            while len(self._learned) > 1 and sum(map(len, self._learned.values())) > MAX_LEARNED:
                self._learned.popitem(last=False)
        return Counted(id=request.id, counts=tuple(len(tokens[ref.key]) for ref in request.texts))

    def _recall(self, request: Generate | Warm, texts: dict[str, str]) -> Recall | None:
        """What an answer can remember besides its prompt, once there is something to remember."""
        from gemma_lsp.engine.ngrams import NgramIndex
        from gemma_lsp.engine.recall import Recall

        around = request.around if isinstance(request, Generate) else None
        if around is None:
            return None
        with self._lock:
            others = self._learned.get(around.memory)
            if others is None:
                return None
            self._learned.move_to_end(around.memory)
        before, behind = self._flat(around.before, texts), self._flat(around.behind, texts)
        return Recall(
            before, NgramIndex({"before": before, "behind": behind}), others.without(frozenset(around.without))
        )

    def _flat(self, refs: tuple[SegmentRef, ...], texts: dict[str, str]) -> array[int]:
        flat = array("i")
        for ref in refs:
            assert self._store
            flat.extend(self._store.tokens(ref, texts))
        return flat

    def _wanted(self, refs: tuple[SegmentRef, ...], texts: dict[str, str]) -> list[Wanted]:
        assert self._backend
        bos = self._backend.bos
        head = [Wanted("bos", "preamble", (bos,))] if bos is not None else []
        return [*head, *(w for r in refs for w in self._tokens(r, texts))]

    def _tokens(self, ref: SegmentRef, texts: dict[str, str]) -> list[Wanted]:
        assert self._backend
        assert self._store
        return wanted_of(ref, self._store.tokens(ref, texts), self._backend.piece)


def failed(id_: str, error: Exception) -> Failed:
    """The answer to a request that went wrong."""
    if not isinstance(error, GemmaLspError):
        log.error("a request failed", exc_info=error)
    name = type(error).__name__
    if name not in ENGINE_ERRORS:
        name = next((k.__name__ for k in type(error).__mro__ if k.__name__ in ENGINE_ERRORS), "EngineError")
    return Failed(id=id_, error=name, message=str(error) or "the engine failed; see its log")


def _refs(request: Asked) -> tuple[SegmentRef, ...]:
    match request:
        case Count(segments=segments):
            return segments
        case Learn(texts=texts):
            return texts
        case Generate(around=Around(before=before, behind=behind)):
            return request.prompt + request.early + before + behind
        case Generate():
            return request.prompt + request.early
    return request.prompt
