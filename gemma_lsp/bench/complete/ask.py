"""Asks for completions as the server does, and the bare model for the same. The event loop's thread only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Cost, ModelInfo
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.features.memory import Learned
from gemma_lsp.generate.answers import Answer, gather
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import Layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

RAW_TOKENS = 48
PATIENCE_MS = 120_000  # a bench measures what comes, not what comes in time; the time stands beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A completion, or "" and why there is none. `cost` is None where the model was not asked."""

    text: str
    reason: str
    cost: Cost | None


@dataclass(slots=True)
class Asker:
    """One engine with the product's settings, but for waiting: no debounce, no deadline, one candidate, no prefetch."""

    client: EngineClient
    model: ModelInfo
    settings: Settings = field(default_factory=lambda: bench_settings())
    workspace: str = "bench"
    learned: Learned = field(default_factory=Learned)

    async def in_file(self, name: str, path: str, before: str, after: str, *, invoked: bool) -> Said:
        """A completion in a repository `name` of one file, of which the model has read nothing yet."""
        text = Text(before + after)
        index = build(WorkspaceSnapshot(root=None, name=name, files={path: text}))
        resident = Resident.start(Layout((), 0, 0), index, frame_for(self.model, name))
        return await self.at(resident.with_index(index, Focus(path, len(before))), path, len(before), invoked=invoked)

    async def at(self, resident: Resident, path: str, offset: int, *, invoked: bool) -> Said:
        """A completion at a place of what is resident; nothing is known from earlier ones."""
        ctx = self._context(resident, resident.index)
        position = resident.index.files[path].text.position(offset)
        answer = await inline_completion(ctx, InlineRequest(path=path, position=position, invoked=invoked))
        text = answer.items[0].text if answer.items else ""
        return Said(text=text, reason=answer.reason, cost=answer.cost)

    async def raw(self, before: str, after: str) -> Said:
        """The model's own answer: its FIM tokens around the text, or the text before the gap where it has none."""
        fim = self.model.fim
        parts: tuple[Segment, ...] = (Segment(Region.REQUEST, before),)
        if all(kind in fim for kind in ("prefix", "suffix", "middle")):
            parts = (
                Segment(Region.REQUEST, fim["prefix"], special=True),
                *parts,
                Segment(Region.REQUEST, fim["suffix"], special=True),
                Segment(Region.REQUEST, after),
                Segment(Region.REQUEST, fim["middle"], special=True),
            )
        options = GenerateOptions(max_tokens=RAW_TOKENS, deadline_ms=PATIENCE_MS)
        answer: Answer = await gather(self.client, "raw", tuple(part for part in parts if part.text), options)
        return Said(text=answer.text, reason=answer.reason, cost=answer.cost)

    def _context(self, resident: Resident, index: Index) -> FeatureContext:
        return FeatureContext(
            index=index,
            resident=resident,
            engine=self.client,
            workspace=self.workspace,
            settings=self.settings,
            model=self.model,
            frame=resident.frame,
            memory=Memory(),
            learned=self.learned,
        )


def bench_settings() -> Settings:
    """The defaults, with all the time in the world."""
    base = Settings()
    patient = replace(base.completion, debounce_ms=0, deadline_ms=PATIENCE_MS, candidates=1, prefetch=False)
    return replace(base, completion=patient)
