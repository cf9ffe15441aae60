"""A small deterministic model with llama.cpp's cache rules, made as unkind as llama.cpp may be.

Tokens are UTF-8 bytes. What a cell holds is a digest of everything it was computed from, so two caches are equal
exactly if their digests are; and a sliding cell behind its window is recycled at the first chance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.backend import Aborted, NoSlot
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.kv.plan import Capabilities

EOS, BOS, N_VOCAB = 256, 257, 258


@dataclass(eq=False)
class _Cell:
    position: int
    token: int
    content: bytes
    seqs: set[int] = field(default_factory=set)
    sliding: set[int] = field(default_factory=set)  # sequences that still see its sliding half


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
    ) -> None:
        self._n_slice, self._can = n_slice, can or Capabilities()
        self._script = {k.encode(): v.encode() for k, v in (script or {}).items()}
        self._n_windows = 3 * n_trunks + 3
        self._n_trunks = n_trunks
        self._cells: list[_Cell] = []
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
        if position != self.last_position(seq) + 1:
            raise EngineError(f"inconsistent positions: {position} after {self.last_position(seq)}")
        if len(self._cells) + len(tokens) > self._info.n_ctx:
            raise NoSlot("no free cells")
        self._recycle(position, seq)
        if self.fail_next:
            raise self.fail_next.pop(0)
        if abort():
            raise Aborted("cut short")
        for i, token in enumerate(tokens):
            content = self._content(seq, position + i, token)
            self._cells.append(_Cell(position + i, token, content, {seq}, {seq}))
        self.evaluated += len(tokens)
        self._logits = self._cells[-1].content if logits else None
        visible = sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position)
        self._last = [c.token for c in visible]

    @property
    def n_choices(self) -> int:
        return 8

    def choices(self, seq: int, position: int, tokens: Sequence[int], abort: Callable[[], bool]) -> list[int]:
        self.evaluate(seq, position, tokens, True, abort)
        before = self._last[: len(self._last) - len(tokens)]
        contents = [cell.content for cell in self._cells[len(self._cells) - len(tokens) :]]
        return [self._next([*before, *tokens[: i + 1]], content) for i, content in enumerate(contents)]

    def _recycle(self, position: int, seq: int) -> None:
        """Takes every sliding cell that belongs to one sequence alone and lies behind that sequence's window."""
        n_swa = self._info.n_swa
        for cell in self._cells if n_swa else ():
            if len(cell.sliding) == 1:
                (owner,) = cell.sliding
                nxt = position if owner == seq else self.last_position(owner) + 1
                if nxt - cell.position >= n_swa:
                    cell.sliding.clear()

    def _content(self, seq: int, position: int, token: int) -> bytes:
        digest = hashlib.blake2b(f"{token}@{position}".encode(), digest_size=8)
        n_swa = self._info.n_swa
        for cell in sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position):
            digest.update(cell.content)
            if n_swa and position - cell.position < n_swa:
                digest.update(b"s" if seq in cell.sliding else b"-")
        return digest.digest()

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        for cell in self._range(source, start, stop):
            cell.seqs.add(target)
            if source in cell.sliding:
                cell.sliding.add(target)

    def remove(self, seq: int, start: int, stop: int) -> None:
        for cell in self._range(seq, start, stop):
            cell.seqs.discard(seq)
            cell.sliding.discard(seq)
        self._cells = [c for c in self._cells if c.seqs]

    def _range(self, seq: int, start: int, stop: int) -> list[_Cell]:
        end = stop if stop >= 0 else 1 << 60
        return [c for c in self._cells if seq in c.seqs and max(0, start) <= c.position < end]

    def last_position(self, seq: int) -> int:
        return max((c.position for c in self._cells if seq in c.seqs), default=-1)

    @property
    def identity(self) -> str:
        return f"fake {self._info.n_swa}"

    def save(self, seq: int) -> bytes | memoryview:
        end = self.last_position(seq) + 1
        keep = end - self._info.n_swa
        cells = sorted((c for c in self._cells if seq in c.seqs), key=lambda c: c.position)
        return json.dumps(
            [[c.position, c.token, c.content.hex(), seq in c.sliding and c.position > keep] for c in cells]
        ).encode()

    def load(self, seq: int, state: bytes | memoryview) -> bool:
        for position, token, content, sliding in json.loads(bytes(state)):
            self._cells.append(_Cell(position, token, bytes.fromhex(content), {seq}, {seq} if sliding else set()))
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
        return {c.position for c in self._cells if seq in c.sliding}

    def close(self) -> None:
        self._cells = []


class FakeSampler:
    """Greedy over the fake's one candidate; at first another letter where a rank asks for it."""

    def __init__(self, backend: FakeBackend, rank: int = 0) -> None:
        self._backend, self._rank = backend, rank
        self.first_chance = 1.0

    def sample(self, allowed: Sequence[int] | None) -> int:
        token = self._backend.next_token()
        if self._rank:
            token, self._rank = ord("a") + (token + self._rank) % 26, 0
        return token if allowed is None or token in allowed else allowed[0]

    def close(self) -> None:
        pass
