"""One llama_model and one llama_context as the engine's backend.

It does what it is told and knows nothing of prompts. Facts about llama.cpp that it relies on are listed in
docs/design/llama-facts.md and tried by tests/contract.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as lib
import numpy as np

from gemma_lsp.backends.llama import library
from gemma_lsp.backends.llama.library import last_error
from gemma_lsp.backends.llama.model import FLASH, KV_TYPES, LlamaOptions, Vocabulary, load_model, meta
from gemma_lsp.backends.llama.probe import can_shift
from gemma_lsp.backends.llama.sampler import LlamaSampler
from gemma_lsp.base.digest import digest_bytes
from gemma_lsp.base.errors import DecodeFailed, EngineError, ModelTooLarge
from gemma_lsp.engine.backend import Aborted, NoSlot, ShiftFailed, tail_room
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.engine.recall import Expected, most_probable
from gemma_lsp.kv.plan import Capabilities

ASK_EVERY_S = 0.002  # llama.cpp asks some 400 times a batch; asking Python each time costs a small model 3 % of a token
STEP_TOKENS = 8  # a batch of no more is not cut short,
STEP_S = 0.06  # unless one token took longer than this, or half of it where there are several
_WINDOW = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


class LlamaBackend:
    """Owns one llama_model and one llama_context with a windowed, unified cache."""

    def __init__(self, options: LlamaOptions) -> None:
        library.start()
        self._options = options
        self._threads = options.threads or library.physical_cores()
        gpu = library.devices() if options.gpu_layers != 0 else ()
        self._n_slice = options.n_slice or (options.n_batch if gpu else min(256, options.n_batch))
        self._model = load_model(options)
        self._vocab = Vocabulary(self._model)
        self._n_swa = int(lib.llama_model_n_swa(self._model))
        self._windows = windows_for(self._n_swa, options.n_trunks)
        self._n_outputs = max(8, self._windows, options.n_outputs)
        self._ctx = self._new_context()
        self._memory = lib.llama_get_memory(self._ctx)
        self._batch = lib.llama_batch_init(options.n_batch, 0, 1)
        self._abort: Callable[[], bool] = _never
        self._ask_at = 0.0
        self._on_abort = lib.ggml_abort_callback(self._cut_short)
        self._armed, self._step_s = False, 0.0
        self._pending = False  # cells were moved and no batch has rotated them since
        self._can_shift = False  # until it was tried
        self._info = self._describe(gpu)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _new_context(self) -> Any:
        o = self._options
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = o.n_ctx, o.n_batch, o.n_batch
        params.n_seq_max = self._windows
        params.n_outputs_max = self._n_outputs
        params.n_threads = params.n_threads_batch = self._threads
        params.flash_attn_type = FLASH[o.flash_attention]
        params.type_k = params.type_v = KV_TYPES[o.kv_type]
        params.swa_full, params.kv_unified, params.no_perf = False, True, True
        ctx = lib.llama_init_from_model(self._model, params)
        if not ctx:
            raise ModelTooLarge(
                f"a context of {o.n_ctx} tokens does not fit ({last_error()}); "
                "set model.n_ctx lower or model.kv_type to q8_0"
            )
        return ctx

    def _describe(self, gpu: tuple[str, ...]) -> ModelInfo:
        vocab = self._vocab
        template = lib.llama_model_chat_template(self._model, None)
        n_ctx = int(lib.llama_n_ctx(self._ctx))
        return ModelInfo(
            path=self._options.path,
            name=meta(self._model, "general.name") or os.path.basename(self._options.path),
            architecture=meta(self._model, "general.architecture"),
            n_ctx=n_ctx,
            n_ctx_train=int(lib.llama_model_n_ctx_train(self._model)),
            n_vocab=self._vocab.n_tokens,
            n_swa=self._n_swa,
            n_tail=self._options.n_tail or tail_room(n_ctx),
            chat_template=template.decode() if template else "",
            bos=vocab.written(lib.llama_vocab_bos(vocab.pointer)),
            eos=vocab.written(lib.llama_vocab_eos(vocab.pointer)),
            fim=self._vocab.fim(),
            devices=gpu,
            gpu_layers=_offloaded(self._options.gpu_layers, int(lib.llama_model_n_layer(self._model))) if gpu else 0,
            threads=self._threads,
            memory={"weights": int(lib.llama_model_size(self._model))},
            build=library.build_info(),
            can={"trim": self.can.trim, "hide": self.can.hide, "grammar": True},
        )

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def can(self) -> Capabilities:
        # A recurrent state cannot be cut, and llama4's chunked window forgets by another rule than ours.
        whole = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        known = whole and meta(self._model, "general.architecture") != "llama4"
        return Capabilities(trim=known, hide=known and self._options.masks, shift=known and self._can_shift)

    @property
    def n_seq(self) -> int:
        return self._windows

    @property
    def n_trunks(self) -> int:
        return self._options.n_trunks

    @property
    def n_guard(self) -> int:
        # Every trunk and the side sequence need one live window each; the rest may be pinned.
        return (self._windows - self._options.n_trunks - 1) * self._n_swa // self._options.n_trunks

    @property
    def n_slice(self) -> int:
        return self._n_slice

    @property
    def bos(self) -> int | None:
        return self._vocab.bos

    # -- vocabulary (any thread) -----------------------------------------------------------------------------------

    def tokenize(self, text: str, special: bool) -> list[int]:
        return self._vocab.tokenize(text, special)

    def piece(self, token: int) -> bytes:
        """The token's bytes. Control tokens are shown too: thinking and turn markers are the caller's to parse."""
        return self._vocab.piece(token)

    def is_end(self, token: int) -> bool:
        return self._vocab.is_end(token)

    def tokens_compatible(self, text: bytes) -> Sequence[int]:
        return self._vocab.compatible(text)

    # -- computing (the engine's thread) ---------------------------------------------------------------------------

    def evaluate(self, seq: int, position: int, tokens: Sequence[int], logits: bool, abort: Callable[[], bool]) -> None:
        self._decode(seq, position, tokens, 1 if logits else 0, abort)

    @property
    def n_choices(self) -> int:
        return self._n_outputs

    def choices(
        self,
        seq: int,
        position: int,
        tokens: Sequence[int],
        abort: Callable[[], bool],
        expected: Sequence[Expected | None] = (),
    ) -> list[int]:
        self._decode(seq, position, tokens, len(tokens), abort)
        rows = np.ctypeslib.as_array(lib.llama_get_logits(self._ctx), (len(tokens), self._vocab.n_tokens))
        return [most_probable(row, said) for row, said in zip_longest(rows, expected)]

    def score(self, seq: int, position: int, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Log-probabilities after each token of a batch, shape (len(tokens), n_vocab); set `LlamaOptions.n_outputs`."""
        self._decode(seq, position, tokens, len(tokens), _never)
        shape = (len(tokens), self._vocab.n_tokens)
        rows = np.ctypeslib.as_array(lib.llama_get_logits(self._ctx), shape).astype(np.float32, copy=True)
        rows -= rows.max(axis=-1, keepdims=True)
        rows -= np.log(np.exp(rows).sum(axis=-1, keepdims=True))
        return rows

    def _decode(
        self, seq: int, position: int, tokens: Sequence[int], n_outputs: int, abort: Callable[[], bool]
    ) -> None:
        """One batch; its last `n_outputs` tokens get a row of logits each."""
        n, batch = len(tokens), self._batch
        if not 0 < n <= self._options.n_batch:
            raise ValueError(f"a batch holds 1 to {self._options.n_batch} tokens, not {n}")
        batch.n_tokens = n
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, position + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, seq
            batch.logits[i] = int(i >= n - n_outputs)
        self._abort, self._ask_at = abort, 0.0
        # An abort between two layers' rotations would have the first one rotated again by the next batch.
        self._arm(not self._pending and (n > STEP_TOKENS or min(n, 2) * self._step_s > STEP_S))
        started, moved = time.monotonic(), self._pending
        if moved:
            library.forget_errors()
        try:
            code = lib.llama_decode(self._ctx, batch)
        finally:
            self._abort = _never
        self._pending = False
        if moved and (code not in (0, 1) or library.said("K-shift")):
            lib.llama_memory_clear(self._memory, True)
            self._can_shift = False
            raise ShiftFailed(f"llama.cpp could not move cells: {last_error()}; the cache will be rebuilt")
        if n == 1 and not moved:
            self._step_s = time.monotonic() - started
        if code == 0:
            return
        if self.last_position(seq) >= position:
            lib.llama_memory_seq_rm(self._memory, seq, position, -1)
        if code == 2:
            raise Aborted("the batch was cut short")
        if code == 1:
            raise NoSlot("no free cells in the cache")
        raise DecodeFailed(f"llama.cpp refused a batch with code {code}: {last_error()}; the cache will be rebuilt")

    def _arm(self, armed: bool) -> None:
        """Has llama.cpp ask whether to stop, or not: being asked 400 times a token is a twentieth of a short step."""
        if armed != self._armed:
            self._armed = armed
            callback = self._on_abort if armed else lib.ggml_abort_callback()
            lib.llama_set_abort_callback(self._ctx, callback, None)

    def _cut_short(self, data: Any) -> bool:
        """llama.cpp asks this between any two of its operations."""
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + ASK_EVERY_S
        return self._abort()

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        lib.llama_memory_seq_cp(self._memory, source, target, start, stop)

    def remove(self, seq: int, start: int, stop: int) -> None:
        if not lib.llama_memory_seq_rm(self._memory, seq, start, stop):
            raise EngineError("llama.cpp cannot remove part of a sequence of this model")

    def last_position(self, seq: int) -> int:
        return int(lib.llama_memory_seq_pos_max(self._memory, seq))

    def try_shifts(self) -> None:
        self._can_shift = can_shift(self._options, self.identity, on_gpu=self._info.gpu_layers > 0)

    def shift(self, seq: int, start: int, stop: int, delta: int) -> None:
        if self.last_position(seq) >= start:
            lib.llama_memory_seq_add(self._memory, seq, start, stop, delta)
            self._pending = True

    def window(self, seq: int) -> bytes | memoryview:
        self._refuse_pending()
        size = lib.llama_state_seq_get_size_ext(self._ctx, seq, _WINDOW)
        buffer = np.empty(size, np.uint8)
        written = lib.llama_state_seq_get_data_ext(self._ctx, _bytes_at(buffer), size, seq, _WINDOW)
        return buffer[:written].data

    def set_window(self, seq: int, window: bytes | memoryview) -> None:
        buffer = np.frombuffer(window, np.uint8)
        read = lib.llama_state_seq_set_data_ext(self._ctx, _bytes_at(buffer), len(buffer), seq, _WINDOW)
        if read != len(buffer):
            raise EngineError(f"llama.cpp could not put a window back: {last_error()}")

    def _refuse_pending(self) -> None:
        if self._pending:  # new positions with the old rotation
            raise EngineError("cells have been moved and nothing was evaluated since: evaluate first")

    @property
    def identity(self) -> str:
        path, o = Path(self._options.path), self._options
        with path.open("rb") as file:  # weights are not hashed whole: head, tail and size tell files apart
            head = file.read(4 << 20)
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            tail = file.read(1 << 20)
        settings = [path.stat().st_size, o.kv_type, o.flash_attention, self._n_swa, self._info.gpu_layers > 0]
        return digest_bytes(head + tail + repr([llama_cpp.__version__, settings]).encode())

    def size(self, seq: int) -> int:
        return int(lib.llama_state_seq_get_size(self._ctx, seq))

    def save(self, seq: int) -> bytes | memoryview:
        self._refuse_pending()
        size = lib.llama_state_seq_get_size(self._ctx, seq)
        buffer = np.empty(size, np.uint8)  # gigabytes for a large model: never copied again
        written = lib.llama_state_seq_get_data(self._ctx, _bytes_at(buffer), size, seq)
        return buffer[:written].data

    def load(self, seq: int, state: bytes | memoryview) -> bool:
        buffer = np.frombuffer(state, np.uint8)
        if lib.llama_state_seq_set_data(self._ctx, _bytes_at(buffer), len(buffer), seq) == len(buffer):
            return True
        lib.llama_memory_seq_rm(self._memory, seq, -1, -1)
        return False

    def logits(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The last batch's logits, shape (n_vocab,); a view into llama.cpp's buffer."""
        pointer = lib.llama_get_logits_ith(self._ctx, -1)
        return np.ctypeslib.as_array(pointer, (self._vocab.n_tokens,))

    def sampler(self, sampling: Sampling, history: Sequence[int]) -> LlamaSampler:
        return LlamaSampler(self._ctx, self._vocab.pointer, self._vocab.n_tokens, sampling, history, self.logits)

    def close(self) -> None:
        if self._ctx:
            lib.llama_batch_free(self._batch)
            lib.llama_free(self._ctx)
            lib.llama_model_free(self._model)
            self._ctx = self._model = None


def _offloaded(asked: int, n_layers: int) -> int:
    """Layers on the GPU, the output layer counted."""
    return n_layers + 1 if asked < 0 else min(asked, n_layers + 1)


def _bytes_at(buffer: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    return buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _never() -> bool:
    return False


def windows_for(n_swa: int, n_trunks: int) -> int:
    """Sequences, and so windows, such that a tail of 2,048 tokens can be guarded beside the body's window."""
    guarded = 0 if n_swa == 0 else n_trunks * (2 + -(-2048 // n_swa)) + 1
    return max(3 * n_trunks + 1, guarded)
