"""The engine's queue and runs over the fake: one answer each, priorities, sharing, cancelling, early service."""

from __future__ import annotations

import threading
from dataclasses import replace

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import ModelInvalid
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Cancel,
    Count,
    Counted,
    Delta,
    Event,
    Failed,
    Finished,
    LoadFailed,
    Priority,
    Progress,
    Ready,
    Status,
    StatusReport,
    Warm,
)
from tests.support.engines import WAIT, Asker, Gate, asker, backend, engine, generate

__all__ = ["asker", "backend", "engine"]  # fixtures


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
