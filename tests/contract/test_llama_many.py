"""Several answers in one batch: each keeps what it was asked for, and says what it says alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gemma_lsp.backends.llama import LlamaOptions
from gemma_lsp.backends.llama.many import ManyClient
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Finished, Sampling
from gemma_lsp.generate.answers import Answer, gather
from gemma_lsp.models.default_model import default_model
from gemma_lsp.prompt.segments import Prompt, Region, Segment

CODE = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\ndef mul(a, b):\n    return"


def prompt(text: str = CODE) -> Prompt:
    return (Segment(Region.REQUEST, text),)


@pytest.fixture
async def client() -> AsyncIterator[ManyClient]:
    made = ManyClient(LlamaOptions(path=str(default_model()), n_ctx=512, n_batch=64), n_seq=3)
    yield made
    await made.close()


async def ask(client: ManyClient, text: str = CODE, **options: object) -> Answer:
    return await gather(client, "w", prompt(text), GenerateOptions(**{"max_tokens": 8, **options}))  # type: ignore[arg-type]


async def test_answers_together_are_those_alone(client: ManyClient) -> None:
    """Also where there are more of them than the batch has room for, and where their prompts begin alike."""
    alone = await ask(client, max_tokens=4)
    assert alone.text.startswith(" a * b")
    texts = [CODE, "# A list of the first ten primes:\nprimes = [2, 3, 5,", CODE, CODE + " b *", CODE]
    together = await asyncio.gather(*(ask(client, text, max_tokens=4) for text in texts))
    assert together[0].text == together[2].text == together[4].text == alone.text
    assert together[1].text.lstrip().startswith("7")
    assert {answer.reason for answer in together} == {"length"}
    assert {answer.cost.generated for answer in together} == {4}


async def test_each_answer_ends_where_it_was_told_to(client: ManyClient) -> None:
    """At its limit, at a stop string, within its grammar, or when it is enough."""
    short, stopped, within, enough = await asyncio.gather(
        ask(client, max_tokens=1),
        ask(client, stop=("* b",), max_tokens=20),
        ask(client, sampling=Sampling(grammar='root ::= " b - a"')),
        ask(client, enough=lambda text: "*" in text, max_tokens=20),
    )
    assert (short.text, short.reason) == (" a", "length")
    assert (stopped.text, stopped.reason) == (" a ", "stop")
    assert within.text == " b - a"
    assert enough.reason == "enough"


async def test_a_listener_that_leaves_makes_room(client: ManyClient) -> None:
    """The others are answered, and so is whoever comes later."""

    async def leaves() -> None:
        async for event in client.generate("w", prompt(), GenerateOptions(max_tokens=300)):
            assert not isinstance(event, Finished)
            return

    answers = await asyncio.gather(*(leaves() for _ in range(3)), ask(client), ask(client))
    assert [answer.cost.generated for answer in answers if answer is not None] == [8, 8]
    model = await client.ready()
    assert model.n_ctx == 512
    assert (await client.status()).queued == 0
    assert (await client.warm("w", prompt(), print)).reason == "done"
    assert await client.count(prompt("a")) == [1]


async def test_what_is_asked_during_a_step_and_ends_in_it_is_answered(
    client: ManyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker thread begins what it finds, also what came after the step had begun."""
    loop, step, late = asyncio.get_running_loop(), client._step, list[asyncio.Task[Answer]]()

    def step_with_company() -> None:
        if not late:
            loop.call_soon_threadsafe(lambda: late.append(loop.create_task(ask(client, max_tokens=1))))
            for _ in range(1000):
                if client._waiting[1:]:
                    break
                time.sleep(0.01)
        step()

    monkeypatch.setattr(client, "_step", step_with_company)
    async with asyncio.timeout(60):
        first = await ask(client)
        second = await late[0]
    assert (first.cost.generated, second.cost.generated, second.reason) == (8, 1, "length")
