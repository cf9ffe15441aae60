"""The trunks that share one context: who gets which sequences, what is restored and kept, who must go.

The engine's thread only, but for `resident`. Snapshots are written by a thread of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.messages import Generate
from gemma_lsp.engine.run import Run, check_fits
from gemma_lsp.engine.snapshots import WORTH, SnapshotStore, restored_ledger
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import plan


class Trunks:
    """Invariant: trunks, side sequence and the running request together never need more cells than there are."""

    def __init__(self, backend: Backend, store: SnapshotStore | None) -> None:
        self._backend, self._store = backend, store
        n = backend.n_trunks
        self._free = [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(n)]
        self._side = Trunk(backend, 3 * n, 3 * n, 3 * n)
        self._by_workspace: OrderedDict[str, Trunk] = OrderedDict()  # the least recently used first
        self._last = self._side
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")

    def for_run(self, run: Run) -> Trunk:
        """The workspace's trunk, or the side sequence: for prompts that share nothing with it, and when it is not ready
        and the run brings a stand-in.

        Raises `PromptTooLong`.
        """
        if run.dry:  # looks, and takes nothing from anybody
            trunk = self._by_workspace.get(run.request.workspace)
            trunk = trunk or Trunk(self._backend, *self._side.sequences, self._side)
            run.moves.room = self._backend.info.n_ctx - self._others(trunk)
            return trunk
        if run.early:
            self._settle(self._side)
            return self._side
        if isinstance(run.request, Generate) and run.request.alone:
            check_fits(run, self._backend.info.n_ctx)
            if run.request.workspace in self._by_workspace:  # it is worked on, though not asked about
                self._by_workspace.move_to_end(run.request.workspace)
            return self._make_room(self._side, run)
        trunk = self._claim(run.request.workspace)
        if not run.started:
            if self._store and not len(trunk.ledger):
                run.spent.restored = self._restore(self._store, trunk, run)
            if run.stand_in is not None and self._too_cold(trunk, run):
                run.become(run.stand_in)
                return self._make_room(self._side, run)
            run.stand_in = None
            check_fits(run, self._backend.info.n_ctx)
        return self._make_room(trunk, run)

    def keep(self, run: Run) -> None:
        """Writes what has just become resident; the copy is taken here, the writing is done elsewhere."""
        store, trunk = self._store, self._by_workspace.get(run.request.workspace)
        if not store or not trunk or trunk.ledger.exact_upto() != run.n_prompt or len(trunk.ledger) != run.n_prompt:
            return
        if len(trunk.ledger) < WORTH or not store.has_room_for(self._backend.size(trunk.seq)):
            return
        if not store.known(run.request.workspace, trunk.ledger):
            copy = restored_ledger(trunk.ledger.n_swa, trunk.ledger.tokens[:], trunk.ledger.runs)
            self._disk.submit(store.save, run.request.workspace, copy, trunk.save())

    def clear(self) -> None:
        """The context is empty: so is every trunk."""
        for trunk in (self._side, *self._by_workspace.values()):
            trunk.clear()

    def evict(self, keep: Trunk) -> bool:
        """Empties the side sequence, else the least recently used other trunk; False when there is none."""
        for trunk in (self._side, *self._by_workspace.values()):
            if trunk is not keep and len(trunk.ledger):
                trunk.clear()
                return True
        return False

    def resident(self) -> dict[str, int]:
        """Visible tokens by workspace. Any thread."""
        return {name: trunk.ledger.n_visible for name, trunk in list(self._by_workspace.items())}

    def close(self) -> None:
        """Waits for what is being written."""
        self._disk.shutdown(wait=True)

    def _too_cold(self, trunk: Trunk, run: Run) -> bool:
        todo = plan(trunk.ledger, run.wanted, trunk.can, run.policy).evaluate
        return isinstance(run.request, Generate) and todo > run.request.early_over

    def _claim(self, workspace: str) -> Trunk:
        trunk = self._by_workspace.get(workspace)
        if trunk is None:
            if not self._free:
                _, oldest = self._by_workspace.popitem(last=False)
                oldest.clear()
                self._free.append(oldest.sequences)
            trunk = self._by_workspace[workspace] = Trunk(self._backend, *self._free.pop(), self._side)
        self._by_workspace.move_to_end(workspace)
        return trunk

    def _restore(self, store: SnapshotStore, trunk: Trunk, run: Run) -> int:
        """Fills an empty trunk from disk if that saves enough; returns how many tokens came from there."""
        self._make_room(trunk, run)
        header = store.best(run.request.workspace, run.wanted, trunk, run.policy)
        loaded = store.load(header) if header else None
        return len(trunk.ledger) if loaded and trunk.restore(loaded) else 0

    def _make_room(self, trunk: Trunk, run: Run) -> Trunk:
        self._settle(trunk)
        while (excess := self._others(trunk) + run.n_needed - self._backend.info.n_ctx) > 0:
            if trunk is self._side and self._spared(excess):
                continue
            if not self.evict(trunk):
                break
        run.moves.room = self._backend.info.n_ctx - self._others(trunk)
        return trunk

    def _spared(self, n: int) -> bool:
        """Whether a trunk has let go of something at its end, so that what is resident need not go as a whole."""
        trunks = self._by_workspace.values()
        return any(trunk.shed() for trunk in trunks) or any(trunk.give(n) for trunk in trunks)

    def _settle(self, trunk: Trunk) -> None:
        """Batches of one sequence may take the others' sliding cells behind the windows that their last batch left."""
        if trunk is not self._last:
            self._last.ledger.lose(len(self._last.ledger))
            self._last = trunk

    def _others(self, trunk: Trunk) -> int:
        """Cells that everything but this trunk fills."""
        return sum(len(t.ledger) for t in (self._side, *self._by_workspace.values()) if t is not trunk)
