"""An engine client over a driver: the engine's own runs on the caller's thread, where probabilities can be read too.

Blocks its event loop while it computes, which suits a bench that asks one thing after another. No early prompts, no
queue, no deadline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from gemma_lsp.bench.driver import Driver
from gemma_lsp.engine.client import Around, GenerateOptions
from gemma_lsp.engine.messages import Cost, Delta, Finished, Generate, ModelInfo, Progress, StatusReport
from gemma_lsp.engine.ngrams import NgramIndex
from gemma_lsp.engine.recall import Recall
from gemma_lsp.prompt.segments import Prompt, Segment

SIDE = "side"  # the trunk of prompts that share nothing with a workspace's


class DriverClient:
    """Implements `EngineClient`. `last`, `around` and `trunk`: of what was asked last, to read probabilities there."""

    def __init__(self, driver: Driver, model: ModelInfo) -> None:
        self._driver, self._model = driver, model
        self._learned: dict[str, NgramIndex] = {}
        self.last: Prompt = ()
        self.around: Around | None = None
        self.trunk = ""

    @property
    def model(self) -> ModelInfo | None:
        """The model, always loaded."""
        return self._model

    async def ready(self) -> ModelInfo:
        """The model."""
        return self._model

    async def count(self, segments: Sequence[Segment]) -> list[int]:
        """Tokens of each segment."""
        return [len(self._driver.backend.tokenize(segment.visible, segment.special)) for segment in segments]

    async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
        """Remembers files, and forgets those before."""
        self._learned = {memory: NgramIndex({text.key: self._tokens((text,)) for text in texts})}
        return len(self._learned[memory])

    def recall(self, around: Around | None) -> Recall | None:
        """What can be remembered at a place, as in `engine.admission`."""
        if around is None or around.memory not in self._learned:
            return None
        before, behind = self._tokens(around.before), self._tokens(around.behind)
        own = NgramIndex({"before": before, "behind": behind})
        return Recall(before, own, self._learned[around.memory].without(frozenset(around.without)))

    async def generate(
        self, workspace: str, prompt: Prompt, options: GenerateOptions
    ) -> AsyncIterator[Delta | Finished]:
        """The whole answer in one piece, as a queue of one would give it."""
        self.last, self.around = prompt, options.around
        self.trunk = SIDE if options.alone else workspace
        recall = self.recall(options.around)
        request = Generate(
            id="",
            workspace=workspace,
            prompt=(),
            max_tokens=options.max_tokens,
            stop=options.stop,
            sampling=options.sampling,
            heal=options.heal,
        )
        enough = options.enough or (lambda text: False)
        yield self._driver.answer(self.trunk, prompt, request, enough, recall)

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        """Makes the prompt resident."""
        evaluated = self._driver.bring(workspace, prompt, exact=True)
        return Finished(id="", text="", reason="done", cost=Cost(evaluated=evaluated))

    async def reach(self, workspace: str, prompt: Prompt) -> Cost:
        """All of it: nothing is ever moved here."""
        return Cost(evaluated=sum(await self.count(prompt)))

    async def status(self) -> StatusReport:
        """Nothing is queued."""
        return StatusReport(id="", model=self._model, resident={}, queued=0, running="")

    async def close(self) -> None:
        """The driver's owner closes it."""

    def _tokens(self, texts: Sequence[Segment]) -> list[int]:
        return [token for text in texts for token in self._driver.tokens(text.text)]
