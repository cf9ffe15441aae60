"""The engine as the asyncio side sees it. Only the event loop's thread may use a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gemma_lsp.engine.messages import Cost, Delta, Finished, ModelInfo, Priority, Progress, Sampling, StatusReport
from gemma_lsp.prompt.segments import Prompt, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The file that an answer is part of, in pieces; see `messages.Around`. `without`: segments' keys."""

    memory: str
    before: Prompt
    behind: Prompt = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """The parts of `messages.Generate` that a feature decides on; see there."""

    priority: Priority = Priority.ACTION
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    heal: bool = False
    deadline_ms: int = 0
    supersedes: str = ""
    early: Prompt = ()
    early_over: int = 0
    guess: bool = True
    around: Around | None = None
    alone: bool = False
    enough: Callable[[str], bool] | None = None  # asked with the text so far; True cancels, and `Finished` still comes


class EngineClient(Protocol):
    """What features ask of an engine, whichever process it lives in. Errors are those of `base.errors`."""

    @property
    def model(self) -> ModelInfo | None:
        """The model once it is loaded."""

    async def ready(self) -> ModelInfo:
        """Waits for the model. Raises `ModelError` or `EngineUnavailable`."""

    async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
        """Has whole files remembered under a name; how many tokens they are. See `messages.Learn`."""

    async def count(self, segments: Sequence[Segment]) -> list[int]:
        """Tokens of each segment."""

    def generate(self, workspace: str, prompt: Prompt, options: GenerateOptions) -> AsyncIterator[Delta | Finished]:
        """Streams the answer: `Delta`s, then one `Finished`. Closing the iterator or cancelling the task cancels it."""

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        """Makes the prompt resident. Cancelling the task stops it; what was evaluated stays.

        `moves`: not exactly, where moving cells is much cheaper; see `messages.Warm`.
        """

    async def reach(self, workspace: str, prompt: Prompt) -> Cost:
        """What it would take to make a prompt resident: tokens, and whether that would be exact. Does nothing."""

    async def status(self) -> StatusReport:
        """The engine's state."""

    async def close(self) -> None:
        """Lets the engine go. It exits by itself when no client is left for a while."""
