"""From a key to the first token of what is suggested, on a warm repository, beside the time of one decode step.

And how long it takes to answer somebody who types what was suggested. Through the feature and an engine in this
process: no editor, no pipe. Event loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.editing import Editing
from gemma_lsp.bench.session import WORKSPACE, Load, Say, finished, repository_session
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, ModelInfo, Priority
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.features.inline import TYPED_ALONG, InlineAnswer, InlineRequest, inline_completion
from gemma_lsp.features.memory import Learned
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.syntax.types import SymbolKind
from gemma_lsp.text import Text

STEPS_LIMIT = 4.0
ALONG_LIMIT_MS = 5.0
_STEP_TOKENS, _STEP_RUNS = 24, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TypingOptions:
    """So many `keys`, each of which asks the model; `n_ctx` such that 8,000 tokens are resident."""

    repo: Path
    keys: int = 60
    n_ctx: int = 11_264


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """Milliseconds. `first_tokens` and `evaluated`: of each key that asked; `along`: of each that did not."""

    about: dict[str, Any]
    step_ms: float
    first_token_ms: tuple[float, ...]
    answer_ms: tuple[float, ...]
    evaluated: tuple[int, ...]
    along_ms: tuple[float, ...]

    @property
    def steps(self) -> float:
        """Decode steps in the median until the first token is there."""
        return median(self.first_token_ms) / self.step_ms

    def to_json(self) -> dict[str, Any]:
        """What is kept."""
        return {
            "about": self.about,
            "step_ms": round(self.step_ms, 2),
            "first_token_steps": round(self.steps, 2),
            "first_token_steps_limit": STEPS_LIMIT,
            "first_token_ms": _spread(self.first_token_ms),
            "answer_ms": _spread(self.answer_ms),
            "evaluated_tokens": {"median": median(self.evaluated), "max": max(self.evaluated)},
            "typed_along_ms": _spread(self.along_ms),
            "typed_along_limit_ms": ALONG_LIMIT_MS,
        }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    found = {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) for name, share in at.items()}
    return {"n": len(ordered), **found}


def run_typing(options: TypingOptions, load: Load, say: Say) -> Typed:
    """Measures for a minute or two. Raises `GemmaLspError`."""
    return asyncio.run(_measure(options, load, say))


async def _measure(options: TypingOptions, load: Load, say: Say) -> Typed:
    async with repository_session(options.repo, options.n_ctx, load, say) as (running, editing, known):
        person = _Person(running.client, editing, running.model, *_function(editing))
        await person.learns()
        say("typing")
        asked = await person.types(options.keys)
        say("typing along")
        along = await person.types_along(options.keys)
        step = await person.step_ms()
    return Typed(
        about={
            **known,
            "keys": options.keys,
            "path": person.path,
        },
        step_ms=step,
        first_token_ms=tuple(cost.first_token_ms for cost, _ in asked),
        answer_ms=tuple(ms for _, ms in asked),
        evaluated=tuple(cost.evaluated for cost, _ in asked),
        along_ms=tuple(along),
    )


def _function(editing: Editing) -> tuple[str, int, str]:
    """The longest function of up to 1,500 characters in the resident files: its file, its place, its code."""
    found: list[tuple[int, str, int, str]] = []
    for path, parsed in editing.resident.index.files.items():
        for symbol in parsed.symbols:
            size = symbol.span.end - symbol.span.start
            if symbol.kind is SymbolKind.FUNCTION and 200 <= size <= 1500:
                start = symbol.span.start
                found.append((size, path, start, parsed.text.content[start : symbol.span.end]))
    if not found:
        raise GemmaLspError("the repository has no function of 200 characters to type; choose another --repo")
    _, path, start, code = max(found)
    return path, start, code


class _Person:
    """Deletes a function and types it again."""

    def __init__(
        self, client: LocalClient, editing: Editing, model: ModelInfo, path: str, start: int, code: str
    ) -> None:
        content = editing.resident.index.files[path].text.content
        self.path = path
        self._client, self._editing, self._model = client, editing, model
        self._before, self._after, self._code = content[:start], content[start + len(code) :], code
        settings = Settings()
        completion = replace(settings.completion, debounce_ms=0, prefetch=False, deadline_ms=60_000)
        self._settings = replace(settings, completion=completion)
        self._memory, self._learned = Memory(), Learned()

    async def types(self, keys: int) -> list[tuple[Cost, float]]:
        """Each key asks the model: what it cost, and how long the whole answer took."""
        found: list[tuple[Cost, float]] = []
        for n in range(1, len(self._code)):
            self._forget()  # so that nothing is typed along
            answer, ms = await self._complete(self._code[:n])
            if answer.cost is not None:
                found.append((answer.cost, ms))
            if len(found) == keys + 1:
                break
        if len(found) < 2:
            raise GemmaLspError("no key asked the model; choose another --repo")
        return found[1:]  # the first one evaluates what was deleted

    async def types_along(self, keys: int) -> list[float]:
        """What is suggested is typed; milliseconds of each answer that was known therefore."""
        found: list[float] = []
        for begun in self._starts():
            self._forget()
            answer, _ = await self._complete(begun)
            suggestion = answer.items[0].text if answer.items else ""
            for n in range(1, len(suggestion)):
                answer, ms = await self._complete(begun + suggestion[:n])
                if answer.reason == TYPED_ALONG:
                    found.append(ms)
            if len(found) >= keys:
                break
        if not found:
            raise GemmaLspError("the model suggested nothing that could be typed; choose another model")
        return found

    async def learns(self) -> None:
        """Has the engine remember all files, as the server has it."""
        files = self._editing.resident.index.files
        self._learned = Learned({path: Segment(Region.BODY, file.text.content) for path, file in files.items()})
        await self._client.learn(self._learned.name, tuple(self._learned.files.values()))

    def _forget(self) -> None:
        """No answer is known any more; what is like the code here still is, and how fast prompts are read."""
        self._memory.generations.close()
        self._memory = Memory(similar=self._memory.similar, habits=self._memory.habits)

    async def step_ms(self) -> float:
        """Of one token behind the first one, without guesses; the median of a few answers."""
        found = []
        options = GenerateOptions(priority=Priority.COMPLETION, max_tokens=_STEP_TOKENS, guess=False)
        for _ in range(_STEP_RUNS):
            cost = (await finished(self._client, self._editing.resident.whole, options)).cost
            if cost.generated > 1:
                found.append((cost.total_ms - cost.first_token_ms) / (cost.generated - 1))
        if not found:
            raise GemmaLspError("the model says nothing here; choose another --repo")
        return median(found)

    def _starts(self) -> Iterator[str]:
        """The code up to the first word of each line."""
        lines = self._code.split("\n")
        for n in range(1, len(lines)):
            line = lines[n]
            yield "\n".join((*lines[:n], line[: len(line) - len(line.lstrip()) + 2]))

    async def _complete(self, typed: str) -> tuple[InlineAnswer, float]:
        """The answer and its milliseconds, from the request on: what the edit itself costs, `bench basics` measures."""
        content = self._before + typed + self._after
        text, offset = Text(content), len(self._before) + len(typed)
        self._editing.edit(self.path, text, offset)
        self._memory.edited(self.path, content)
        resident = self._editing.resident
        ctx = FeatureContext(
            index=resident.index,
            resident=resident,
            engine=self._client,
            workspace=WORKSPACE,
            settings=self._settings,
            model=self._model,
            frame=self._editing.frame,
            memory=self._memory,
            learned=self._learned,
        )
        started = time.perf_counter()
        answer = await inline_completion(ctx, InlineRequest(path=self.path, position=text.position(offset)))
        return answer, 1000 * (time.perf_counter() - started)
