"""An engine whose answers are written in the test. It keeps `EngineClient`'s contract: stop strings, limits, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Delta, Finished, ModelInfo, Progress, StatusReport
from gemma_lsp.prompt.segments import Prompt, Segment

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|turn>{{ m['role'] }}\n{{ m['content'] | trim }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
    "{# knows <|channel> and <channel|> #}"
)
FIM = {"prefix": "<|fim_prefix|>", "suffix": "<|fim_suffix|>", "middle": "<|fim_middle|>"}


def scripted_model(kind: str = "base") -> ModelInfo:
    """A model's description: "base", "chat" (thinks as Gemma 4 does) or "fim"."""
    return ModelInfo(
        path=f"{kind}.gguf",
        name=f"scripted {kind}",
        architecture="scripted",
        n_ctx=8192,
        n_ctx_train=8192,
        n_vocab=1000,
        n_swa=0,
        n_tail=2048,
        bos="<bos>",
        eos="<eos>",
        chat_template=CHAT_TEMPLATE if kind == "chat" else "",
        fim=FIM if kind == "fim" else {},
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that the engine got. `remembered`: what was learned and still reads so."""

    workspace: str
    prompt: Prompt
    options: GenerateOptions
    remembered: str = ""

    @property
    def text(self) -> str:
        """The whole prompt as text."""
        return "".join(segment.text for segment in self.prompt)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An answer that somebody else stopped: `reason` is superseded, cancelled or deadline."""

    text: str
    reason: str


Script = str | Interrupted | EngineError | Callable[[Asked], str]


class ScriptedEngine:
    """Gives its answers one after the other, each streamed in pieces of `piece` characters; a piece is one token.

    The last answer is given again when there are no more. An error in the script is raised.
    """

    def __init__(self, *answers: Script, model: ModelInfo | None = None, piece: int = 3) -> None:
        self._answers: list[Script] = list(answers or ("",))
        self._model = model or scripted_model()
        self._piece = piece
        self.asked: list[Asked] = []
        self.early = False  # whether it answers from the short prompt, as before the repository is read
        self.cancelled = 0
        self.learned: dict[str, str] = {}

    @property
    def model(self) -> ModelInfo | None:
        """The scripted model; it is always loaded."""
        return self._model

    async def ready(self) -> ModelInfo:
        """The scripted model."""
        return self._model

    async def count(self, segments: Sequence[Segment]) -> list[int]:
        """Four characters a token."""
        return [-(-len(segment.text) // 4) for segment in segments]

    async def generate(
        self, workspace: str, prompt: Prompt, options: GenerateOptions
    ) -> AsyncIterator[Delta | Finished]:
        """Streams the next answer."""
        stale = options.around.without if options.around else self.learned
        remembered = "".join(text for key, text in self.learned.items() if key not in stale)
        asked = Asked(workspace, prompt, options, remembered)
        self.asked.append(asked)
        script = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(script, EngineError):
            raise script
        text, reason = _ended(script, asked)
        said, generated, ended = "", 0, False
        try:
            while len(said) < len(text):
                if generated >= options.max_tokens or (options.enough and said and options.enough(said)):
                    reason = "length" if generated >= options.max_tokens else "cancelled"
                    break
                piece = text[len(said) : len(said) + self._piece]
                said, generated = said + piece, generated + 1
                await asyncio.sleep(0)
                yield Delta(id="1", text=piece)
            ended = True
            n_prompt = sum(await self.count(prompt))
            cost = Cost(prompt=n_prompt, evaluated=n_prompt, generated=generated, total_ms=1.0, early=self.early)
            yield Finished(id="1", text=said, reason=reason, cost=cost)
        finally:
            self.cancelled += not ended

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        """Is done at once."""
        n = sum(await self.count(prompt))
        on_progress(Progress(id="1", done=n, total=n, tokens_per_s=1000.0))
        return Finished(id="1", text="", reason="done", cost=Cost(prompt=n, evaluated=n))

    async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
        """Remembers texts, for answers that are made of what was asked."""
        self.learned = {segment.key: segment.text for segment in texts}
        return sum(await self.count(texts))

    async def reach(self, workspace: str, prompt: Prompt) -> Cost:
        """All of it, exactly: nothing is kept."""
        n = sum(await self.count(prompt))
        return Cost(prompt=n, evaluated=n)

    async def status(self) -> StatusReport:
        """Nothing runs."""
        return StatusReport(id="1", model=self._model, resident={}, queued=0, running="")

    async def close(self) -> None:
        """Nothing to let go."""


def _ended(script: str | Interrupted | Callable[[Asked], str], asked: Asked) -> tuple[str, str]:
    """The answer up to the first stop string, and why it ends."""
    if isinstance(script, Interrupted):
        return script.text, script.reason
    answer = script if isinstance(script, str) else script(asked)
    stops = [at for stop in asked.options.stop if (at := answer.find(stop)) >= 0]
    return (answer[: min(stops)], "stop") if stops else (answer, "eos")
