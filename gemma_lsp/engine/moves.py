"""How a warm-up comes by its prompt through splices, where it may and where that pays. The engine's thread only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.messages import Generate, Warm
from gemma_lsp.engine.splicing import Scratch, apply_splice_op
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import Plan, Wanted
from gemma_lsp.kv.splice import BEFORE, Splice, SpliceOp, SplicePlan, compaction

TIMES = 8  # splices are planned anew when something came between two of them, so often


class Moves:
    """What is left of the splices of one run. What comes between two of them has them planned anew."""

    def __init__(self, backend: Backend, request: Generate | Warm) -> None:
        self._backend = backend
        self.allowed = isinstance(request, Warm) and request.moves
        self.room = backend.info.n_ctx  # cells that the trunk may fill
        self.taken = False  # this way was chosen: what is resident need not be exact
        self._left: deque[SpliceOp] = deque()
        self._times = 0

    @property
    def pending(self) -> bool:
        """Whether cells are still to be moved."""
        return bool(self._left)

    def found(self, trunk: Trunk, wanted: Sequence[Wanted], exact: Plan) -> SplicePlan | None:
        """The splices, where they are better than the exact way, and where there is room for them."""
        if not self.allowed or trunk.side is None:
            return None
        can = replace(trunk.can, shift=self._backend.can.shift)  # it may have been found out since
        found = compaction(trunk.ledger, wanted, can, exact, self._backend.n_slice)
        if found and found.ops and (self._times >= TIMES or found.cells > self.room):
            return None
        return found

    def take(self, found: SplicePlan | None) -> None:
        """This is the way from here on; None: the exact one."""
        self.taken, self._left = found is not None, deque(found.ops if found else ())
        self._times += self.pending

    def step(self, trunk: Trunk, abort: Callable[[], bool]) -> tuple[str, int]:
        """Carries out one operation; the region that it evaluated tokens of, and how many."""
        assert trunk.side
        trunk.side.clear()
        op = self._left[0]
        n = apply_splice_op(self._backend, trunk, op, Scratch(trunk.side.seq, BEFORE), abort)
        self._left.popleft()
        return op.region if isinstance(op, Splice) else "", n
