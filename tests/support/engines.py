"""An engine over a fake whose batches wait, one who asks it, and the fixtures of both."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Counted,
    Event,
    Failed,
    Finished,
    Generate,
    NeedTexts,
    PutTexts,
    Request,
    SegmentRef,
    StatusReport,
)
from gemma_lsp.prompt.segments import Region, Segment

WAIT = 20.0


class Asker:
    """Collects events; answers NeedTexts by itself."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self.texts: dict[str, str] = {}
        self._changed = threading.Condition()

    def ask(self, request: Request) -> None:
        self.engine.submit(request, self.reply)

    def reply(self, event: Event) -> None:
        if isinstance(event, NeedTexts):
            self.engine.submit(PutTexts(texts={k: self.texts[k] for k in event.keys}), self.reply)
            return
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def final(self, id_: str) -> Finished | Failed | Counted | StatusReport:
        kinds = (Finished, Failed, Counted, StatusReport)
        with self._changed:
            ok = self._changed.wait_for(lambda: any(isinstance(e, kinds) and e.id == id_ for e in self.events), WAIT)
        assert ok, f"{id_} was not answered: {self.events}"
        found = [e for e in self.events if isinstance(e, kinds) and e.id == id_]
        assert len(found) == 1
        return found[0]

    def refs(self, *parts: str) -> tuple[SegmentRef, ...]:
        """ "b:text" -> a reference whose text is known to this asker."""
        kinds = {"b": Region.BODY, "e": Region.ERRATA, "h": Region.HOLE, "r": Region.REQUEST}
        segments = [Segment(kinds[p[0]], p[2:]) for p in parts]
        self.texts |= {s.key: s.text for s in segments}
        return tuple(SegmentRef(s.key, s.region.value, s.special) for s in segments)


class Gate(FakeBackend):
    """A fake whose batches wait until the test lets them go."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.open = threading.Event()
        self.entered = threading.Event()
        self.open.set()

    def evaluate(self, seq, position, tokens, logits, abort):  # type: ignore[no-untyped-def]
        self.entered.set()
        assert self.open.wait(WAIT)
        super().evaluate(seq, position, tokens, logits, abort)


@pytest.fixture
def backend() -> Gate:
    return Gate(n_ctx=600, n_swa=32, script={"say:": "hello world", "long:": "abcdefghij" * 8, "x=": "1;2"})


@pytest.fixture
def engine(backend: Gate) -> Iterator[Engine]:
    engine = Engine(lambda progress: backend)
    engine.start()
    yield engine
    backend.open.set()
    engine.close()


@pytest.fixture
def asker(engine: Engine) -> Asker:
    return Asker(engine)


def generate(asker: Asker, id_: str, *parts: str, **options: object) -> Generate:
    return Generate(id=id_, workspace="w", prompt=asker.refs(*parts), **options)  # type: ignore[arg-type]
