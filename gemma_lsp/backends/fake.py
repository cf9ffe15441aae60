"""A small deterministic model with llama.cpp's cache rules, made as unkind as llama.cpp may be.

Tokens are UTF-8 bytes. What a cell holds is a digest of everything it was computed from, so two caches are equal
exactly if their digests are; and a sliding cell behind its window is recycled at the first chance. The two halves of
the cache are kept apart, as llama.cpp does: a splice leaves other positions in the sliding half than in the full one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.backend import Aborted, NoSlot, ShiftFailed
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.engine.recall import Expected
from gemma_lsp.kv.plan import Capabilities

EOS, BOS, N_VOCAB = 256, 257, 258
_CERTAIN = 0.3  # the chance from which on what a repository says is taken


@dataclass(eq=False)
class _Cell:
    position: int
    token: int
    content: bytes
    seqs: set[int] = field(default_factory=set)
    shifts: int = 0  # how often it was moved; a moved cell is no cell that was evaluated in its place


class FakeBackend:
    """Implements `engine.backend.Backend`. `script`: text that is answered after a prompt that ends with a key."""

    def __init__(
        self,
        *,
        n_ctx: int = 4096,
        n_swa: int = 0,
        n_slice: int = 16,
        can: Capabilities | None = None,
        script: dict[str, str] | None = None,
        n_trunks: int = 1,
        can_be_moved: bool = False,
    ) -> None:
        self._n_slice, self._can = n_slice, can or Capabilities()
        self._can_be_moved = can_be_moved or self._can.shift
        self._script = {k.encode(): v.encode() for k, v in (script or {}).items()}
        self._n_windows = 3 * n_trunks + 3
        self._n_trunks = n_trunks
        self._cells: list[_Cell] = []
        self._sliding: list[_Cell] = []  # none on plain attention
        self._pending = False  # cells were moved and nothing evaluated since
        self.fail_shifts = 0  # so many of the next shifts go wrong half-way
        self._logits: bytes | None = None
        self._last: list[int] = []
        self.fail_next: list[Exception] = []  # raised by the next batches, one each
        self.evaluated = 0
        self._info = ModelInfo(
            path="fake.gguf",
            name="fake",
            architecture="fake",
            n_ctx=n_ctx,
            n_ctx_train=n_ctx,
            n_vocab=N_VOCAB,
            n_swa=n_swa,
            n_tail=n_ctx // 4,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def can(self) -> Capabilities:
        return self._can

    @property
    def n_seq(self) -> int:
        return self._n_windows

    @property
    def n_trunks(self) -> int:
        return self._n_trunks

    @property
    def n_guard(self) -> int:
        return 3 * self._info.n_swa

    @property
    def n_slice(self) -> int:
        return self._n_slice

    @property
    def bos(self) -> int | None:
        return BOS

    def tokenize(self, text: str, special: bool) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == EOS

    def tokens_compatible(self, text: bytes) -> list[int]:
        return [text[0]]

    def evaluate(self, seq: int, position: int, tokens: Sequence[int], logits: bool, abort: Callable[[], bool]) -> None:
        if not 0 < len(tokens) <= self._n_slice:
            raise ValueError("batch size")
        if self.last_position(seq) not in (-1, position - 1):  # llama.cpp lets an empty sequence begin anywhere
            raise EngineError(f"inconsistent positions: {position} after {self.last_position(seq)}")
        if len(self._cells) + len(tokens) > self._info.n_ctx:
            raise NoSlot("no free cells")
        self._recycle(position, seq)
        if self._pending:
            self._apply_shift()
        elif abort():
            raise Aborted("cut short")
        if self.fail_next:
            raise self.fail_next.pop(0)
        for i, token in enumerate(tokens):
            content = self._content(seq, position + i, token)
            self._cells.append(_Cell(position + i, token, content, {seq}))
            if self._info.n_swa:
                self._sliding.append(_Cell(position + i, token, content, {seq}))
        self.evaluated += len(tokens)
        self._logits = self._cells[-1].content if logits else None
        visible = sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position)
        self._last = [c.token for c in visible]

    @property
    def n_choices(self) -> int:
        return 8

    def choices(
        self,
        seq: int,
        position: int,
        tokens: Sequence[int],
        abort: Callable[[], bool],
        expected: Sequence[Expected | None] = (),
    ) -> list[int]:
        self.evaluate(seq, position, tokens, True, abort)
        before = self._last[: len(self._last) - len(tokens)]
        contents = [cell.content for cell in self._cells[len(self._cells) - len(tokens) :]]
        own = [self._next([*before, *tokens[: i + 1]], content) for i, content in enumerate(contents)]
        return [_mixed(token, said) for token, said in zip_longest(own, expected)]

    def _recycle(self, position: int, seq: int) -> None:
        """Takes every sliding cell that belongs to one sequence alone and lies behind that sequence's window."""
        ends = {seq: position}
        for cell in self._sliding:
            if len(cell.seqs) == 1:
                (owner,) = cell.seqs
                nxt = ends.setdefault(owner, self.last_position(owner) + 1)
                if nxt - cell.position >= self._info.n_swa:
                    cell.seqs.clear()
        self._sliding = [c for c in self._sliding if c.seqs]

    def _content(self, seq: int, position: int, token: int) -> bytes:
        digest = hashlib.blake2b(f"{token}@{position}".encode(), digest_size=8)
        n_swa = self._info.n_swa
        window = {c.position: c.content for c in self._sliding if seq in c.seqs and position - c.position < n_swa}
        for cell in sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position):
            digest.update(cell.content)
            if position - cell.position < n_swa:
                digest.update(window.get(cell.position, b"-"))
        return digest.digest()

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        for cell in self._range(source, start, stop):
            cell.seqs.add(target)

    def remove(self, seq: int, start: int, stop: int) -> None:
        for cell in self._range(seq, start, stop):
            cell.seqs.discard(seq)
        self._cells = [c for c in self._cells if c.seqs]
        self._sliding = [c for c in self._sliding if c.seqs]

    def _range(self, seq: int, start: int, stop: int) -> list[_Cell]:
        """The sequence's cells of both halves."""
        end = stop if stop >= 0 else 1 << 60
        both = (*self._cells, *self._sliding)
        return [c for c in both if seq in c.seqs and max(0, start) <= c.position < end]

    def last_position(self, seq: int) -> int:
        half = self._sliding if self._info.n_swa else self._cells  # what llama.cpp asks where there is a window
        return max((c.position for c in half if seq in c.seqs), default=-1)

    def try_shifts(self) -> None:
        self._can = replace(self._can, shift=self._can_be_moved)

    def shift(self, seq: int, start: int, stop: int, delta: int) -> None:
        for cell in self._range(seq, start, stop):
            cell.position += delta
            cell.shifts += 1
            cell.content = hashlib.blake2b(b"moved" + cell.content, digest_size=8).digest()
            self._pending = True

    def _apply_shift(self) -> None:
        self._pending = False
        if self.fail_shifts:
            self.fail_shifts -= 1
            self._cells, self._sliding = [], []
            raise ShiftFailed("the cells could not be moved")

    def window(self, seq: int) -> bytes | memoryview:
        self._refuse_pending()
        keep = self.last_position(seq) + 1 - self._info.n_swa
        cells = [c for c in self._sliding if seq in c.seqs and c.position > keep]
        return json.dumps([[c.position, c.token, c.content.hex()] for c in cells]).encode()

    def set_window(self, seq: int, window: bytes | memoryview) -> None:
        cells = json.loads(bytes(window))
        for cell in self._sliding if cells else ():
            cell.seqs.discard(seq)
        self._sliding = [c for c in self._sliding if c.seqs]
        self._sliding += [_Cell(position, token, bytes.fromhex(content), {seq}) for position, token, content in cells]

    def _refuse_pending(self) -> None:
        if self._pending:
            raise EngineError("cells have been moved and nothing was evaluated since: evaluate first")

    @property
    def identity(self) -> str:
        return f"fake {self._info.n_swa}"

    def size(self, seq: int) -> int:
        return len(self.save(seq))

    def save(self, seq: int) -> bytes | memoryview:
        self._refuse_pending()
        cells = sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position)
        rows = [[c.position, c.token, c.content.hex()] for c in cells]
        return json.dumps([rows, json.loads(bytes(self.window(seq)))]).encode()

    def load(self, seq: int, state: bytes | memoryview) -> bool:
        for cells, rows in zip((self._cells, self._sliding), json.loads(bytes(state)), strict=True):
            cells += [_Cell(position, token, bytes.fromhex(content), {seq}) for position, token, content in rows]
        return True

    def sampler(self, sampling: Sampling, history: Sequence[int]) -> FakeSampler:
        return FakeSampler(self, sampling.rank)

    def next_token(self) -> int:
        """The next byte of the script that the visible text has come to, else a letter from the last cell's content."""
        if self._logits is None:
            raise EngineError("no logits: the last batch did not ask for them")
        return self._next(self._last, self._logits)

    def _next(self, tokens: Sequence[int], content: bytes) -> int:
        text = bytes(t for t in tokens if t < 256)
        for key, answer in self._script.items():
            at = text.rfind(key)
            if at >= 0 and answer.startswith(said := text[at + len(key) :]):
                return answer[len(said)] if len(said) < len(answer) else EOS
        return ord("a") + content[0] % 26

    def cells(self, seq: int) -> dict[int, tuple[int, bytes]]:
        """What a sequence attends to: position -> (token, content)."""
        return {c.position: (c.token, c.content) for c in self._cells if seq in c.seqs}

    def sliding(self, seq: int) -> set[int]:
        """Positions whose sliding half the sequence still has."""
        return {c.position for c in self._sliding if seq in c.seqs}

    def shifts(self, seq: int) -> dict[int, int]:
        """How often each of the sequence's cells was moved."""
        return {c.position: c.shifts for c in self._cells if seq in c.seqs}

    def close(self) -> None:
        self._cells, self._sliding = [], []


class FakeSampler:
    """Greedy over the fake's one candidate; at first another letter where a rank asks for it."""

    def __init__(self, backend: FakeBackend, rank: int = 0) -> None:
        self._backend, self._rank = backend, rank
        self.first_chance = 1.0

    def sample(self, allowed: Sequence[int] | None, expected: Expected | None = None) -> int:
        token = _mixed(self._backend.next_token(), expected)
        if self._rank:
            token, self._rank = ord("a") + (token + self._rank) % 26, 0
        return token if allowed is None or token in allowed else allowed[0]

    def close(self) -> None:
        pass


def _mixed(token: int | None, expected: Expected | None) -> int:
    """The fake has a token of its own, and gives way to what is expected with some chance."""
    assert token is not None
    best = int(expected.chances.argmax()) if expected is not None else 0
    return int(expected.tokens[best]) if expected is not None and expected.chances[best] > _CERTAIN else token
