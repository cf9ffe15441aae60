"""Of several requests for the same thing the last one counts: the older ones are answered as stale at once."""

from __future__ import annotations

from collections.abc import Hashable

from gemma_lsp.server.errors import LspError, content_modified
from gemma_lsp.server.protocol import Running


class Latest:
    """The running request for each key."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Running] = {}

    def claim(self, key: Hashable, running: Running | None, why: LspError | None = None) -> None:
        """A newer request takes the place of the older one."""
        self.drop(key, why)
        if running is not None:
            self._running[key] = running

    def drop(self, key: Hashable, why: LspError | None = None) -> None:
        """What the running request would say is stale. Of one that was answered, nothing."""
        older = self._running.pop(key, None)
        if older is not None:
            older.stop(why or content_modified())
