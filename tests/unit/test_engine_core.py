"""The engine's queue and runs over the fake: one answer each, priorities, sharing, cancelling, early service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import ModelInvalid
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Around,
    Cancel,
    Count,
    Counted,
    Delta,
    Event,
    Failed,
    Finished,
    Generate,
    Learn,
    LoadFailed,
    NeedTexts,
    Priority,
    Progress,
    PutTexts,
    Ready,
    Request,
    SegmentRef,
    Status,
    StatusReport,
    Warm,
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


def test_an_answer_streams_and_says_what_it_cost(asker: Asker) -> None:
    """Deltas add up to the text; tokens add up to the prompt."""
    asker.ask(generate(asker, "1", "b:some body. ", "r:say:"))
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert done.text == "hello world" == "".join(e.text for e in asker.events if isinstance(e, Delta))
    assert done.reason == "eos"
    assert done.cost.evaluated_by_region == {"preamble": 1, "body": 11, "request": 4}
    assert (done.cost.reused, done.cost.evaluated, done.cost.generated) == (0, 16, 11)


def test_the_second_answer_costs_its_tail(asker: Asker) -> None:
    """The body is resident after the first request."""
    asker.ask(generate(asker, "1", "b:" + "body " * 20, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", "b:" + "body " * 20, "r:long:"))
    done = asker.final("2")
    assert isinstance(done, Finished)
    assert (done.cost.evaluated, done.cost.exact) == (5, True)


def test_an_answer_of_no_tokens_reads_its_prompt(asker: Asker) -> None:
    """So changes can be read ahead of the question about them."""
    asker.ask(generate(asker, "1", "b:" + "body " * 20, "e:news ", max_tokens=0))
    read = asker.final("1")
    assert isinstance(read, Finished)
    assert (read.text, read.cost.generated) == ("", 0)
    asker.ask(generate(asker, "2", "b:" + "body " * 20, "e:news ", "r:say:"))
    done = asker.final("2")
    assert isinstance(done, Finished)
    assert done.cost.evaluated == 4


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(asker: Asker) -> None:
    """Not even a part of the stop string is streamed."""
    asker.ask(generate(asker, "1", "r:say:", stop=("o wo",)))
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert (done.text, done.reason) == ("hell", "stop")
    assert "".join(e.text for e in asker.events if isinstance(e, Delta)) == "hell"


def test_length_is_counted_in_tokens(asker: Asker) -> None:
    """Three tokens of the fake are three letters."""
    asker.ask(generate(asker, "1", "r:say:", max_tokens=3))
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert (done.text, done.reason) == ("hel", "length")


def test_healing_begins_after_the_prompts_end(asker: Asker) -> None:
    """The backed-up token is generated again and not repeated in the answer."""
    asker.ask(generate(asker, "1", "r:say:he", heal=True))
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert done.text == "llo world"


def test_latest_wins(asker: Asker, backend: Gate) -> None:
    """A newer request with the same key ends the older one, which is still answered."""
    backend.open.clear()
    asker.ask(generate(asker, "old", "b:" + "x" * 40, "r:long:", supersedes="doc", max_tokens=60))
    assert backend.entered.wait(WAIT)
    asker.ask(generate(asker, "new", "b:" + "x" * 40, "r:say:", supersedes="doc"))
    backend.open.set()
    old, new = asker.final("old"), asker.final("new")
    assert isinstance(old, Finished)
    assert isinstance(new, Finished)
    assert (old.reason, new.text) == ("superseded", "hello world")


def test_identical_work_is_shared(asker: Asker, backend: Gate) -> None:
    """Two askers of the same thing get the same answer for one evaluation."""
    backend.open.clear()
    asker.ask(generate(asker, "1", "b:" + "x" * 40, "r:say:"))
    assert backend.entered.wait(WAIT)
    asker.ask(generate(asker, "2", "b:" + "x" * 40, "r:say:"))
    asker.ask(Count(id="barrier", segments=asker.refs("r:barrier")))
    asker.final("barrier")
    backend.open.set()
    one, two = asker.final("1"), asker.final("2")
    assert isinstance(one, Finished)
    assert isinstance(two, Finished)
    assert one.text == two.text == "hello world"
    assert backend.evaluated == 1 + 40 + 4 + 11


def test_cancelling_keeps_what_was_said_and_evaluated(asker: Asker, backend: Gate) -> None:
    """The answer comes at once with reason cancelled; the body stays resident."""
    body = "b:" + "x" * 64
    backend.open.clear()
    asker.ask(generate(asker, "1", body, "r:long:", max_tokens=80))
    assert backend.entered.wait(WAIT)
    asker.ask(Cancel(id="1"))
    backend.open.set()
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert done.reason == "cancelled"
    asker.ask(generate(asker, "2", body, "r:say:"))
    again = asker.final("2")
    assert isinstance(again, Finished)
    assert again.text == "hello world"


def test_a_completion_goes_before_a_prefill(asker: Asker, backend: Gate) -> None:
    """The more urgent request is finished while the other is still at it; both are answered, rightly."""
    backend.open.clear()
    asker.ask(Warm(id="warm", workspace="w", prompt=asker.refs("b:" + "y" * 300)))
    assert backend.entered.wait(WAIT)
    asker.ask(generate(asker, "now", "b:" + "y" * 300, "r:say:", priority=Priority.COMPLETION))
    asker.ask(Count(id="barrier", segments=asker.refs("r:barrier")))
    asker.final("barrier")
    backend.open.set()
    asker.final("now")
    asker.final("warm")
    ends = [e.id for e in asker.events if isinstance(e, Finished)]
    assert ends == ["now", "warm"]


def test_a_prefill_reports_its_progress(asker: Asker) -> None:
    """Progress grows to the total."""
    asker.ask(Warm(id="w", workspace="w", prompt=asker.refs("b:" + "y" * 100)))
    asker.final("w")
    steps = [e for e in asker.events if isinstance(e, Progress)]
    assert [e.done for e in steps] == sorted({e.done for e in steps})
    assert (steps[-1].done, steps[-1].total) == (101, 101)


def test_early_service_does_not_wait_for_the_body(asker: Asker) -> None:
    """With the body cold the shorter prompt is used, on a sequence of its own; once warm, the real one."""
    body = "b:" + "z" * 200
    request = generate(asker, "1", body, "r:say:", early_over=50)
    request = replace(request, early=asker.refs("r:say:"))
    asker.ask(request)
    early = asker.final("1")
    assert isinstance(early, Finished)
    assert (early.text, early.cost.early, early.cost.evaluated) == ("hello world", True, 5)
    asker.ask(Warm(id="w", workspace="w", prompt=asker.refs(body)))
    asker.final("w")
    asker.ask(replace(request, id="2"))
    late = asker.final("2")
    assert isinstance(late, Finished)
    assert (late.cost.early, late.cost.evaluated) == (False, 4)


def test_a_prompt_that_cannot_fit_is_refused_with_advice(asker: Asker) -> None:
    """The message says what to do, and the engine lives."""
    asker.ask(generate(asker, "1", "b:" + "z" * 700, "r:say:"))
    failed = asker.final("1")
    assert isinstance(failed, Failed)
    assert failed.error == "PromptTooLong"
    assert "index.budget_tokens" in failed.message
    asker.ask(generate(asker, "2", "r:say:"))
    assert isinstance(asker.final("2"), Finished)


def test_another_workspace_takes_the_room_of_the_oldest(asker: Asker) -> None:
    """With one trunk the second workspace evicts the first, and both answers are right."""
    asker.ask(generate(asker, "1", "b:" + "a" * 300, "r:say:"))
    asker.final("1")
    asker.ask(replace(generate(asker, "2", "b:" + "c" * 300, "r:x="), workspace="other"))
    done = asker.final("2")
    assert isinstance(done, Finished)
    assert done.text == "1;2"
    asker.ask(Status(id="s"))
    report = asker.final("s")
    assert isinstance(report, StatusReport)
    assert list(report.resident) == ["other"]


def test_a_refused_batch_fails_one_request_only(asker: Asker, backend: Gate) -> None:
    """After a fatal decode the trunk is rebuilt by the next request."""
    from gemma_lsp.base.errors import DecodeFailed

    backend.fail_next = [DecodeFailed("refused")]
    asker.ask(generate(asker, "1", "b:body ", "r:say:"))
    failed = asker.final("1")
    assert isinstance(failed, Failed)
    assert failed.error == "DecodeFailed"
    asker.ask(generate(asker, "2", "b:body ", "r:say:"))
    done = asker.final("2")
    assert isinstance(done, Finished)
    assert (done.text, done.cost.reused) == ("hello world", 0)


def test_masked_tokens_give_way_when_the_cache_is_full(asker: Asker) -> None:
    """What is visible fits although what is held does not: the trunk starts afresh and answers."""
    before, changed, after = "b:" + "a" * 160, "b:" + "c" * 160, "b:" + "d" * 160
    asker.ask(generate(asker, "1", before, changed, after, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", before, after, "e:" + "C" * 150, "r:say:"))
    done = asker.final("2")
    assert isinstance(done, Finished)
    assert done.text == "hello world"


def test_counting_needs_no_context(asker: Asker) -> None:
    """Counts come in the order asked, duplicates included."""
    asker.ask(Count(id="c", segments=asker.refs("b:abc", "b:de", "b:abc")))
    counted = asker.final("c")
    assert isinstance(counted, Counted)
    assert counted.counts == (3, 2, 3)


def test_a_model_that_does_not_load_answers_everyone() -> None:
    """Requests before and after the failure get the same words."""

    def load(progress: object) -> FakeBackend:
        raise ModelInvalid("not a GGUF; choose another file")

    engine = Engine(load)
    asker = Asker(engine)
    seen: list[Event] = []
    engine.watch(seen.append)
    asker.ask(generate(asker, "before", "r:say:"))
    engine.start()
    before = asker.final("before")
    asker.ask(generate(asker, "after", "r:say:"))
    after = asker.final("after")
    engine.close()
    assert isinstance(before, Failed)
    assert isinstance(after, Failed)
    assert before.error == after.error == "ModelInvalid"
    assert [type(e) for e in seen] == [LoadFailed]


def test_watching_a_loaded_engine_says_ready(engine: Engine, asker: Asker) -> None:
    """Late watchers learn the model too."""
    asker.ask(generate(asker, "1", "r:say:"))
    asker.final("1")
    seen: list[Event] = []
    engine.watch(seen.append)
    assert [type(e) for e in seen] == [Ready]


def test_closing_answers_everyone(backend: Gate) -> None:
    """Nothing that was asked stays unanswered."""
    engine = Engine(lambda progress: backend)
    asker = Asker(engine)
    engine.start()
    backend.open.clear()
    asker.ask(generate(asker, "1", "b:" + "x" * 64, "r:long:"))
    assert backend.entered.wait(WAIT)
    threading.Timer(0.0, backend.open.set).start()
    engine.close()
    assert isinstance(asker.final("1"), Finished)
    asker.ask(generate(asker, "2", "r:say:"))
    assert isinstance(asker.final("2"), Failed)


LEARNED = "def shorten(name):\n    return name[:3]\n"


def remembered(asker: Asker, id_: str, *, memory: str = "m", without: tuple[str, ...] = (), **options: object) -> str:
    """What is answered behind `def shorten(`, a text that was learned five times over."""
    around = Around(memory=memory, before=asker.refs("h:\ndef shorten("), without=without)
    asker.ask(generate(asker, id_, "r:" + id_ + " def shorten(", around=around, max_tokens=8, **options))
    done = asker.final(id_)
    assert isinstance(done, Finished)
    return done.text


def test_what_was_learned_joins_the_models_word(asker: Asker) -> None:
    """Until something is learned, and of a file that reads otherwise now, the model's own word counts."""
    own = remembered(asker, "1")
    refs = asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))
    asker.ask(Learn(id="2", memory="m", texts=refs))
    assert asker.final("2") == Counted(id="2", counts=(len(LEARNED) + 4,) * 5)
    assert remembered(asker, "3") == "name):\n "
    assert remembered(asker, "4", heal=True) == "name):\n"
    assert "name" not in remembered(asker, "5", without=tuple(ref.key for ref in refs))
    assert "name" not in own
    assert "name" not in remembered(asker, "6", memory="another")


def test_guesses_come_from_what_was_learned_and_change_nothing(asker: Asker) -> None:
    """Tried several at a time or one by one, the answer is the same."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))))
    asker.final("1")
    texts = {remembered(asker, f"{guess}", guess=guess) for guess in (True, False)}
    assert texts == {"name):\n "}


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_a_prompt_that_stands_alone_leaves_what_is_resident(asker: Asker) -> None:
    """Typing in it costs the key; what requests left behind the body goes before the body does."""
    asker.ask(generate(asker, "1", "b:" + "body " * 60, "r:" + "q" * 120 + "say:"))
    asker.final("1")
    for id_, gap in (("2", "gap " * 40 + "x"), ("3", "gap " * 40 + "xy")):
        asker.ask(generate(asker, id_, f"r:{gap}", alone=True, max_tokens=20))
        asker.final(id_)
    second = asker.final("3")
    assert isinstance(second, Finished)
    assert (second.cost.evaluated, second.cost.early) == (1, False)
    asker.ask(generate(asker, "4", "b:" + "body " * 60, "r:say:"))
    third = asker.final("4")
    assert isinstance(third, Finished)
    assert third.cost.reused >= 300
    assert third.text == "hello world"


def test_a_prompt_alone_that_can_never_fit_is_refused(asker: Asker) -> None:
    """As any other."""
    asker.ask(generate(asker, "1", "r:" + "gap " * 400, alone=True))
    failed = asker.final("1")
    assert isinstance(failed, Failed)
    assert failed.error == "PromptTooLong"


def test_a_request_never_shares_the_answer_of_one_that_remembers_something_else(asker: Asker, backend: Gate) -> None:
    """Another window, or this one before another file was changed: the same prompt, and other files that are true."""
    refs = asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))
    asker.ask(Learn(id="1", memory="m", texts=refs))
    asker.final("1")
    backend.open.clear()
    backend.entered.clear()
    before = asker.refs("h:\ndef shorten(")
    for id_, without in (("2", ()), ("3", tuple(ref.key for ref in refs))):
        around = Around(memory="m", before=before, without=without)
        asker.ask(generate(asker, id_, "r:x def shorten(", around=around, max_tokens=8))
        assert backend.entered.wait(WAIT)
        while len(asker.engine._admission):
            time.sleep(0.001)
    backend.open.set()
    texts = [done.text for id_ in "23" if isinstance(done := asker.final(id_), Finished)]
    assert texts[0] == "name):\n "
    assert "name" not in texts[1]


class Slow(Gate):
    """A fake that tokenises one text when the test lets it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.texts: list[str] = []
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Event()

    def tokenize(self, text: str, special: bool) -> list[int]:
        if text.startswith("slow"):
            self.texts.append(text)
            self.begun.set()
            assert self.go_on.acquire(timeout=WAIT)
        return super().tokenize(text, special)


@pytest.mark.parametrize("backend", [Slow()], ids=["slow"])
def test_learning_ends_where_nobody_wants_it_any_more(asker: Asker, backend: Slow) -> None:
    """The rest is not read."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:slow {n}" for n in range(20)))))
    assert backend.begun.wait(WAIT)
    asker.ask(Cancel(id="1"))
    backend.go_on.release(20)
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert done.reason == "cancelled"
    assert len(backend.texts) == 1


@pytest.mark.parametrize("backend", [Slow()], ids=["slow"])
def test_closing_does_not_wait_until_all_is_learned(asker: Asker, backend: Slow) -> None:
    """It is answered once all the same."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:slow {n}" for n in range(20)))))
    assert backend.begun.wait(WAIT)
    closing = threading.Thread(target=asker.engine.close)
    closing.start()
    while not asker.engine._admission._stopped:
        time.sleep(0.001)
    backend.go_on.release(20)
    closing.join(WAIT)
    assert isinstance(asker.final("1"), Failed)
    assert len(backend.texts) == 1


def test_texts_are_asked_for_once(engine: Engine) -> None:
    """Also when other requests come while megabytes are on their way."""
    events: list[Event] = []
    asker = Asker(engine)
    asker.ask(Count(id="0", segments=()))
    asker.final("0")
    engine.submit(Learn(id="1", memory="m", texts=asker.refs("b:one", "b:two")), events.append)
    asker.ask(Count(id="2", segments=asker.refs("b:three")))
    asker.final("2")
    assert [type(event) for event in events] == [NeedTexts]


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_a_prompt_alone_takes_no_more_of_the_head_than_it_needs(asker: Asker) -> None:
    """Where much was told behind the body, the end of it goes, not all that is resident."""
    asker.ask(generate(asker, "1", "b:" + "body " * 60, "e:" + "told " * 30, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", "r:" + "gap " * 50, alone=True, max_tokens=20))
    asker.final("2")
    asker.ask(generate(asker, "3", "b:" + "body " * 60, "e:" + "told " * 30, "r:say:"))
    done = asker.final("3")
    assert isinstance(done, Finished)
    assert done.cost.reused >= 300
    assert done.text == "hello world"


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, n_trunks=2)], ids=["plain"])
def test_a_prompt_alone_lets_the_folder_go_that_nobody_uses(asker: Asker) -> None:
    """Whoever is asked about gaps only works in that folder, too."""
    for id_, workspace in (("1", "w"), ("2", "other")):
        asker.ask(replace(generate(asker, id_, "b:" + workspace + "body " * 50, max_tokens=1), workspace=workspace))
        asker.final(id_)
    asker.ask(generate(asker, "3", "r:" + "gap " * 40, alone=True, max_tokens=20))
    asker.final("3")
    resident = asker.engine._status("").resident
    assert resident["w"] >= 250 > resident["other"]


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_what_is_masked_is_never_left_at_the_end(asker: Asker) -> None:
    """Where the end of what is resident goes, what is masked before it goes with it."""
    body, told = ("b:" + "body " * 30, "b:" + "tail " * 40), "e:" + "told " * 10
    asker.ask(generate(asker, "1", *body, told, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", body[0], told, "r:say:"))
    asker.final("2")
    (trunk,) = asker.engine._trunks._by_workspace.values()  # type: ignore[union-attr]
    assert len(trunk.ledger.hidden) == 200
    asker.ask(generate(asker, "3", "r:" + "x" * 269, alone=True, max_tokens=20))
    asker.final("3")
    assert (len(trunk.ledger), len(trunk.ledger.hidden)) == (151, 0)
    asker.ask(generate(asker, "4", body[0], told, "r:say:"))
    done = asker.final("4")
    assert isinstance(done, Finished)
    assert (done.text, done.cost.reused, done.cost.exact) == ("hello world", 151, True)
