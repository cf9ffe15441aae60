"""What the engine asks of whatever computes: one small protocol, and no assumption about what it can do.

Only the engine's thread calls a backend, except `tokenize`, `piece` and `text_of`, which read the constant vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.kv.plan import Capabilities

if TYPE_CHECKING:
    from gemma_lsp.engine.recall import Expected


def tail_room(n_ctx: int) -> int:
    """Tokens of a context that the body leaves to errata, masked cells, hole, request and answer."""
    return max(min(4096, n_ctx // 4), n_ctx // 8)


class Aborted(EngineError):
    """A batch was cut short by the abort check; its tokens are not in the cache."""


class NoSlot(EngineError):
    """The cache has no free cells for the batch; nothing was changed."""


class ShiftFailed(EngineError):
    """Moving cells failed half-way; what every sequence held is lost, and all of them are empty."""


class Sampler(Protocol):
    """Chooses tokens from the last batch's logits; keeps its own state (grammar, repetition, random numbers)."""

    @property
    def first_chance(self) -> float:
        """How probable the first token was among those allowed; 1 where that was not asked for."""

    def sample(self, allowed: Sequence[int] | None, expected: Expected | None = None) -> int:
        """The next token, among `allowed` if given; it counts as accepted.

        `expected` is mixed in where the most probable token is taken, and left aside elsewhere.
        """

    def close(self) -> None:
        """Frees what it holds."""


class Backend(Protocol):
    """One model with one context of several sequences in a unified cache. Positions are token positions."""

    @property
    def info(self) -> ModelInfo:
        """The model as users and prompts need to know it."""

    @property
    def can(self) -> Capabilities:
        """What its cache can do."""

    @property
    def n_seq(self) -> int:
        """Sequences that may be used, numbered from 0."""

    @property
    def n_trunks(self) -> int:
        """Workspaces that may be resident side by side; each takes three sequences, and all share one more."""

    @property
    def n_guard(self) -> int:
        """Sliding cells that a trunk's guard may hold; 0 where there is no window."""

    @property
    def n_slice(self) -> int:
        """Tokens per batch at most: the unit of preemption."""

    @property
    def bos(self) -> int | None:
        """The token that every prompt starts with, if the vocabulary asks for one."""

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Tokens of a text, without BOS. Any thread."""

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens. Any thread."""

    def is_end(self, token: int) -> bool:
        """Whether the token ends a generation. Any thread."""

    def tokens_compatible(self, text: bytes) -> Sequence[int]:
        """Tokens whose bytes start with `text`, and those that `text` starts with. Any thread."""

    def evaluate(self, seq: int, position: int, tokens: Sequence[int], logits: bool, abort: Callable[[], bool]) -> None:
        """Computes one batch (at most `n_slice` tokens) at the sequence's end.

        Raises `Aborted` and `NoSlot` (nothing was added) and `DecodeFailed` (the sequence is no longer to be trusted).
        """

    @property
    def n_choices(self) -> int:
        """Tokens per batch of `choices` at most."""

    def choices(
        self,
        seq: int,
        position: int,
        tokens: Sequence[int],
        abort: Callable[[], bool],
        expected: Sequence[Expected | None] = (),
    ) -> list[int]:
        """Computes one batch as `evaluate` does, and returns the most probable token after each of its tokens.

        `expected`, one for each token or none at all, is mixed in.
        """

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        """Lets `target` hold the cells of `source` in [start, stop) too."""

    def remove(self, seq: int, start: int, stop: int) -> None:
        """Takes the cells in [start, stop) from the sequence; stop -1 means to its end."""

    def last_position(self, seq: int) -> int:
        """The sequence's last position, -1 when empty."""

    @property
    def identity(self) -> str:
        """Digest of model file, build and cache settings: whether a saved state fits."""

    def size(self, seq: int) -> int:
        """Bytes of the sequence's state."""

    def save(self, seq: int) -> bytes | memoryview:
        """The sequence's state: all of it but sliding cells behind its window."""

    def load(self, seq: int, state: bytes | memoryview) -> bool:
        """Puts a saved state into an empty sequence; False if it does not fit (the sequence is empty then)."""

    def sampler(self, sampling: Sampling, history: Sequence[int]) -> Sampler:
        """A sampler for one answer; `history` feeds the repetition penalty."""

    # A shift is applied by the next batch, whichever sequence it is of. That batch is not cut short, so it should be of
    # few tokens; it raises `ShiftFailed` if the cells could not be moved. Until then nothing can be saved.

    def try_shifts(self) -> None:
        """Finds out whether cells can be moved, and says so in `can`. Any thread; may take a minute, the first time."""

    def shift(self, seq: int, start: int, stop: int, delta: int) -> None:
        """Moves the sequence's cells in [start, stop) by `delta`, for every sequence that holds them, if it `can`."""

    def window(self, seq: int) -> bytes | memoryview:
        """The sequence's sliding cells, as far as they are inside its window."""

    def set_window(self, seq: int, window: bytes | memoryview) -> None:
        """Replaces the sequence's sliding cells by saved ones, of which there is at least one. Raises `EngineError`."""

    def close(self) -> None:
        """Frees the model."""
