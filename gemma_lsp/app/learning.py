"""Has the engine remember what a workspace's files say, and again when they have changed and nobody types.

Files that fit into no prompt are remembered, too. Until they are, answers do without, and what has changed since is
left out of them (`features.recall`). Event loop only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from gemma_lsp.app.engine_host import EngineHost
from gemma_lsp.app.indexing import Indexing
from gemma_lsp.app.quiet import Quiet
from gemma_lsp.app.worker import Worker
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.features.memory import Learned
from gemma_lsp.prompt.segments import Region, Segment

log = logging.getLogger(__name__)
MAX_CHARS = 6_000_000  # of all files together: two million tokens, 40 MB in the engine; guessed


class Learning(Worker):
    """What the engine remembers beside the prompt. Invariant: `Workspace.learned` is what the engine was told."""

    def __init__(self, workspace: Workspace, indexing: Indexing, engine: EngineHost, idle_s: float) -> None:
        super().__init__()
        self.name = f"learning {workspace.name}"
        self._ws, self._indexing, self._engine = workspace, indexing, engine
        self._quiet = Quiet(workspace.unasked, idle_s)
        self._engines = 0  # that were lost

    def touched(self) -> None:
        """Somebody has typed: what that changed is learned when it is quiet."""
        self._quiet.touched()
        self.wake()

    def forgotten(self) -> None:
        """The engine is gone, or another one."""
        self._engines += 1
        self._ws.learned = Learned()
        self.wake()

    async def _step(self) -> None:
        if self._engine.model is None:
            return  # whoever needs a model has it loaded, and wakes this when something was read
        await self._indexing.ready.wait()
        await self._quiet.wait()
        ws, client, engines = self._ws, self._engine.client, self._engines
        if client is None:
            return
        wanted = Learned(dict(self._wanted()) if ws.settings.completion.recall else {})
        if wanted.name != ws.learned.name:
            await client.learn(wanted.name, tuple(wanted.files.values()))
        if engines == self._engines:  # else what was told is gone with its engine
            ws.learned = wanted

    def _wanted(self) -> Iterator[tuple[str, Segment]]:
        """Every file as far as there is room, those that are worked on last: of equal places the last ones count."""
        files, room, chosen = self._ws.index.files, MAX_CHARS, []
        first = (*self._ws.open_paths, *self._ws.recent_paths)
        for path in dict.fromkeys((*(p for p in first if p in files), *files)):
            known, content = self._ws.learned.files.get(path), files[path].text.content
            if len(content) <= room:
                room -= len(content)
                segment = known if known is not None and known.text == content else Segment(Region.BODY, content)
                chosen.append((path, segment))
        return reversed(chosen)

    async def _after_failure(self, error: Exception) -> None:
        """It is tried again when something changes or there is another engine; that there is none, others say."""
        self._ws.learned = Learned()
        log.info("%s: %s", self.name, error)
