"""llama.cpp through the low-level API of llama-cpp-python. The only file that imports llama_cpp.

It does what it is told and knows nothing of prompts. Facts about llama.cpp that it relies on are listed in
docs/design/llama-facts.md and tried by tests/contract.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as lib
import numpy as np
import psutil

from gemma_lsp.base.digest import digest_bytes
from gemma_lsp.base.errors import DecodeFailed, EngineError, ModelInvalid, ModelTooLarge
from gemma_lsp.engine.backend import Aborted, NoSlot, tail_room
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.kv.plan import Capabilities

log = logging.getLogger(__name__)

KV_TYPES = {"f16": lib.GGML_TYPE_F16, "bf16": 30, "q8_0": lib.GGML_TYPE_Q8_0}  # 30: GGML_TYPE_BF16 in ggml.h
ASK_EVERY_S = 0.002  # llama.cpp asks some 400 times a batch; asking Python each time costs a small model 3 % of a token
COMPATIBLE = 200  # texts whose compatible tokens are remembered
STEP_TOKENS = 8  # a batch of no more is not cut short,
STEP_S = 0.06  # unless one token took longer than this, or half of it where there are several
FLASH = {"auto": -1, "off": 0, "on": 1}  # enum llama_flash_attn_type in llama.h
_RING: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaOptions:
    """How to load a model. `n_ctx` in tokens; `gpu_layers` -1 = all; `threads` 0 = physical cores."""

    path: str
    n_ctx: int
    gpu_layers: int = -1
    threads: int = 0
    flash_attention: str = "auto"
    kv_type: str = "f16"
    n_batch: int = 512
    n_slice: int = 0  # 0: 256 on a CPU, n_batch on a GPU
    n_trunks: int = 1
    n_tail: int = 0  # 0: see engine.backend.tail_room
    masks: bool = True
    n_outputs: int = 0  # rows of logits at a time; 0: one for each sequence; `score` needs one for each token
    on_progress: Callable[[float], None] | None = None


def _on_log(level: int, text: bytes, data: Any) -> None:
    """Keeps llama.cpp's last lines for error messages; nothing of it reaches stdout, which is the protocol's."""
    line = text.decode("utf-8", "replace").rstrip()
    if line:
        _RING.append(line)
        del _RING[:-40]
        if level >= 3:
            log.debug("llama.cpp: %s", line)


_LOG_CALLBACK = lib.llama_log_callback(_on_log)  # kept alive: llama.cpp holds only the pointer


def build_info() -> str:
    """Version of the binding and what the library was compiled for."""
    return f"llama-cpp-python {llama_cpp.__version__}; {lib.llama_print_system_info().decode().strip()}"


def supports_gpu() -> bool:
    """Whether this build can use a GPU at all."""
    return bool(lib.llama_supports_gpu_offload())


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as llama.cpp sees it; memory in bytes, 0 where it does not say."""

    name: str
    free: int
    total: int


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that llama.cpp sees, by its own registry (ggml-backend.h)."""
    try:
        import llama_cpp._ggml as ggml

        handle = ggml.libggml
        handle.ggml_backend_dev_count.restype = ctypes.c_size_t
        handle.ggml_backend_dev_get.restype = ctypes.c_void_p
        handle.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        handle.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        handle.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
        handle.ggml_backend_dev_description.restype = ctypes.c_char_p
        found = [handle.ggml_backend_dev_get(i) for i in range(handle.ggml_backend_dev_count())]
        return tuple(_gpu(handle, d) for d in found if handle.ggml_backend_dev_type(d) in (1, 2))  # GPU, integrated GPU
    except (ImportError, AttributeError):
        return (Gpu("GPU", 0, 0),) if supports_gpu() else ()


def _gpu(handle: Any, device: Any) -> Gpu:
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    pointer = ctypes.POINTER(ctypes.c_size_t)
    handle.ggml_backend_dev_memory.restype = None
    handle.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, pointer, pointer]
    handle.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    return Gpu(handle.ggml_backend_dev_description(device).decode(), free.value, total.value)


def devices() -> tuple[str, ...]:
    """Names of the GPUs that llama.cpp sees."""
    return tuple(gpu.name for gpu in gpus())


class LlamaBackend:
    """Owns one llama_model and one llama_context with a windowed, unified cache."""

    def __init__(self, options: LlamaOptions) -> None:
        lib.llama_backend_init()
        lib.llama_log_set(_LOG_CALLBACK, ctypes.c_void_p(0))
        self._options = options
        self._threads = options.threads or _physical_cores()
        gpu = devices() if options.gpu_layers != 0 else ()
        self._n_slice = options.n_slice or (options.n_batch if gpu else min(256, options.n_batch))
        self._model = self._load_model()
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._n_vocab = lib.llama_vocab_n_tokens(self._vocab)
        self._n_swa = int(lib.llama_model_n_swa(self._model))
        self._windows = windows_for(self._n_swa, options.n_trunks)
        self._n_outputs = max(8, self._windows, options.n_outputs)
        self._ctx = self._new_context()
        self._memory = lib.llama_get_memory(self._ctx)
        self._batch = lib.llama_batch_init(options.n_batch, 0, 1)
        self._pieces: list[bytes] = []
        self._sorted: list[tuple[bytes, int]] = []
        self._sorting = threading.Lock()
        self._compatible: dict[bytes, array[int]] = {}  # a cursor behind a space has half the vocabulary to choose from
        self._abort: Callable[[], bool] = _never
        self._ask_at = 0.0
        self._on_abort = lib.ggml_abort_callback(self._cut_short)
        self._armed, self._step_s = False, 0.0
        self._info = self._describe(gpu)

    # -- loading ---------------------------------------------------------------------------------------------------

    def _load_model(self) -> Any:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 999 if self._options.gpu_layers < 0 else self._options.gpu_layers
        report = self._options.on_progress

        def progress(fraction: float, data: Any) -> bool:
            if report:
                report(fraction)
            return True

        callback = lib.llama_progress_callback(progress)
        params.progress_callback = callback
        del _RING[:]
        model = lib.llama_model_load_from_file(os.fsencode(self._options.path), params)
        if not model:
            raise ModelInvalid(f"llama.cpp cannot load {self._options.path}: {_last_error()}; choose another GGUF file")
        return model

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
                f"a context of {o.n_ctx} tokens does not fit ({_last_error()}); "
                "set model.n_ctx lower or model.kv_type to q8_0"
            )
        return ctx

    def _describe(self, gpu: tuple[str, ...]) -> ModelInfo:
        template = lib.llama_model_chat_template(self._model, None)
        n_ctx = int(lib.llama_n_ctx(self._ctx))
        fim = {
            "prefix": lib.llama_vocab_fim_pre(self._vocab),
            "suffix": lib.llama_vocab_fim_suf(self._vocab),
            "middle": lib.llama_vocab_fim_mid(self._vocab),
            "repo": lib.llama_vocab_fim_rep(self._vocab),
            "separator": lib.llama_vocab_fim_sep(self._vocab),
        }
        return ModelInfo(
            path=self._options.path,
            name=self._meta("general.name") or os.path.basename(self._options.path),
            architecture=self._meta("general.architecture"),
            n_ctx=n_ctx,
            n_ctx_train=int(lib.llama_model_n_ctx_train(self._model)),
            n_vocab=self._n_vocab,
            n_swa=self._n_swa,
            n_tail=self._options.n_tail or tail_room(n_ctx),
            chat_template=template.decode() if template else "",
            bos=self._raw_piece(lib.llama_vocab_bos(self._vocab)).decode("utf-8", "replace"),
            eos=self._raw_piece(lib.llama_vocab_eos(self._vocab)).decode("utf-8", "replace"),
            fim={k: self._raw_piece(t).decode("utf-8", "replace") for k, t in fim.items() if t >= 0},
            devices=gpu,
            gpu_layers=_offloaded(self._options.gpu_layers, int(lib.llama_model_n_layer(self._model))) if gpu else 0,
            threads=self._threads,
            memory={"weights": int(lib.llama_model_size(self._model))},
            build=build_info(),
            can={"trim": self.can.trim, "hide": self.can.hide, "grammar": True},
        )

    def _meta(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(512)
        n = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if n >= 0 else ""

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def can(self) -> Capabilities:
        # A recurrent state cannot be cut, and llama4's chunked window forgets by another rule than ours.
        whole = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        known = whole and self._meta("general.architecture") != "llama4"
        return Capabilities(trim=known, hide=known and self._options.masks)

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
        return int(lib.llama_vocab_bos(self._vocab)) if lib.llama_vocab_get_add_bos(self._vocab) else None

    # -- vocabulary (any thread) -----------------------------------------------------------------------------------

    def tokenize(self, text: str, special: bool) -> list[int]:
        raw = text.encode("utf-8", "replace")
        size = len(raw) + 16
        out = (lib.llama_token * size)()
        n = lib.llama_tokenize(self._vocab, raw, len(raw), out, size, False, special)
        if n < 0:
            out = (lib.llama_token * -n)()
            n = lib.llama_tokenize(self._vocab, raw, len(raw), out, -n, False, special)
        return list(out[:n])

    def _raw_piece(self, token: int) -> bytes:
        if token < 0:
            return b""
        buffer = ctypes.create_string_buffer(64)
        n = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[: max(0, n)]

    def piece(self, token: int) -> bytes:
        """The token's bytes. Control tokens are shown too: thinking and turn markers are the caller's to parse."""
        return self._raw_piece(token)

    def is_end(self, token: int) -> bool:
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def tokens_compatible(self, text: bytes) -> Sequence[int]:
        found = self._compatible.get(text)
        if found is None:
            if len(self._compatible) >= COMPATIBLE:
                self._compatible.clear()
            found = self._compatible[text] = array("i", self._find_compatible(text))
        return found

    def _find_compatible(self, text: bytes) -> list[int]:
        with self._sorting:
            if not self._sorted:
                ordinary = (t for t in range(self._n_vocab) if not lib.llama_vocab_is_control(self._vocab, t))
                self._sorted = sorted((piece, t) for t in ordinary if (piece := self._raw_piece(t)))
        found = []
        at = bisect_left(self._sorted, (text, -1))
        while at < len(self._sorted) and self._sorted[at][0].startswith(text):
            found.append(self._sorted[at][1])
            at += 1
        for n in range(1, len(text)):
            at = bisect_left(self._sorted, (text[:n], -1))
            while at < len(self._sorted) and self._sorted[at][0] == text[:n]:
                found.append(self._sorted[at][1])
                at += 1
        return found

    # -- computing (the engine's thread) ---------------------------------------------------------------------------

    def evaluate(self, seq: int, position: int, tokens: Sequence[int], logits: bool, abort: Callable[[], bool]) -> None:
        self._decode(seq, position, tokens, 1 if logits else 0, abort)

    @property
    def n_choices(self) -> int:
        return self._n_outputs

    def choices(self, seq: int, position: int, tokens: Sequence[int], abort: Callable[[], bool]) -> list[int]:
        self._decode(seq, position, tokens, len(tokens), abort)
        rows = np.ctypeslib.as_array(lib.llama_get_logits(self._ctx), (len(tokens), self._n_vocab))
        return [int(row.argmax()) for row in rows]

    def score(self, seq: int, position: int, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Log-probabilities after each token of a batch, shape (len(tokens), n_vocab); set `LlamaOptions.n_outputs`."""
        self._decode(seq, position, tokens, len(tokens), _never)
        shape = (len(tokens), self._n_vocab)
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
        self._arm(n > STEP_TOKENS or min(n, 2) * self._step_s > STEP_S)
        started = time.monotonic()
        try:
            code = lib.llama_decode(self._ctx, batch)
        finally:
            self._abort = _never
        if n == 1:
            self._step_s = time.monotonic() - started
        if code == 0:
            return
        if self.last_position(seq) >= position:
            lib.llama_memory_seq_rm(self._memory, seq, position, -1)
        if code == 2:
            raise Aborted("the batch was cut short")
        if code == 1:
            raise NoSlot("no free cells in the cache")
        raise DecodeFailed(f"llama.cpp refused a batch with code {code}: {_last_error()}; the cache will be rebuilt")

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

    @property
    def identity(self) -> str:
        path, o = Path(self._options.path), self._options
        with path.open("rb") as file:  # weights are not hashed whole: head, tail and size tell files apart
            head = file.read(4 << 20)
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            tail = file.read(1 << 20)
        settings = [path.stat().st_size, o.kv_type, o.flash_attention, self._n_swa, self._info.gpu_layers > 0]
        return digest_bytes(head + tail + repr([llama_cpp.__version__, settings]).encode())

    def save(self, seq: int) -> bytes | memoryview:
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
        return np.ctypeslib.as_array(pointer, (self._n_vocab,))

    def sampler(self, sampling: Sampling, history: Sequence[int]) -> LlamaSampler:
        return LlamaSampler(self._ctx, self._vocab, self._n_vocab, sampling, history, self.logits)

    def close(self) -> None:
        if self._ctx:
            lib.llama_batch_free(self._batch)
            lib.llama_free(self._ctx)
            lib.llama_model_free(self._model)
            self._ctx = self._model = None


class LlamaSampler:
    """A chain of llama.cpp's own samplers, in the order of its command-line tools."""

    def __init__(
        self,
        ctx: Any,
        vocab: Any,
        n_vocab: int,
        sampling: Sampling,
        history: Sequence[int],
        logits: Callable[[], np.ndarray[Any, np.dtype[np.float32]]],
    ) -> None:
        self._ctx, self._logits = ctx, logits
        self.first_chance, self._is_first = 1.0, True
        self._rank, self._least, self._end = sampling.rank, sampling.min_p, int(lib.llama_vocab_eos(vocab))
        # The greedy chain of llama.cpp copies the whole vocabulary first: 0.5 ms of 260,000 tokens, and this 0.15.
        self._plain = sampling.temperature <= 0 and not sampling.grammar and sampling.repeat_penalty == 1.0
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.grammar:
            grammar = lib.llama_sampler_init_grammar(vocab, sampling.grammar.encode(), b"root")
            if not grammar:
                lib.llama_sampler_free(self._chain)
                raise EngineError(f"the grammar does not parse: {_last_error()}")
            lib.llama_sampler_chain_add(self._chain, grammar)
        self._penalties = None
        if sampling.repeat_penalty != 1.0:
            self._penalties = lib.llama_sampler_init_penalties(
                n_vocab, sampling.repeat_last_n, sampling.repeat_penalty, 0.0, 0.0
            )
            lib.llama_sampler_chain_add(self._chain, self._penalties)
            for token in history[-sampling.repeat_last_n :]:
                lib.llama_sampler_accept(self._penalties, token)
        for part in _choosers(sampling):
            lib.llama_sampler_chain_add(self._chain, part)

    def sample(self, allowed: Sequence[int] | None) -> int:
        if allowed is not None:
            logits = self._logits()
            tokens = np.asarray(allowed, dtype=np.int32)
            keep = logits[tokens].copy()
            logits[:] = -np.inf
            logits[tokens] = keep
        if self._rank:
            return self._ranked()
        if self._plain:
            logits = self._logits()
            token = int(logits.argmax())
            if self._is_first:  # 0.7 ms of 260,000 tokens
                self.first_chance, self._is_first = float(1 / np.exp(logits - logits[token]).sum()), False
            return token
        return int(lib.llama_sampler_sample(self._chain, self._ctx, -1))

    def _ranked(self) -> int:
        """The so many best first token, or the end where that one is too improbable."""
        n, self._rank = self._rank + 1, 0
        logits = self._logits()
        best = np.argpartition(logits, -n)[-n:]
        token = int(best[logits[best].argmin()])
        if logits[token] < logits.max() + np.log(max(self._least, 1e-9)):
            return self._end
        lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        if self._chain:
            lib.llama_sampler_free(self._chain)
            self._chain = None


def _choosers(sampling: Sampling) -> list[Any]:
    if sampling.temperature <= 0:
        return [lib.llama_sampler_init_greedy()]
    return [
        lib.llama_sampler_init_top_k(sampling.top_k),
        lib.llama_sampler_init_top_p(sampling.top_p, 1),
        lib.llama_sampler_init_min_p(sampling.min_p, 1),
        lib.llama_sampler_init_temp(sampling.temperature),
        lib.llama_sampler_init_dist(sampling.seed),
    ]


def _offloaded(asked: int, n_layers: int) -> int:
    """Layers on the GPU, the output layer counted."""
    return n_layers + 1 if asked < 0 else min(asked, n_layers + 1)


def _bytes_at(buffer: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    return buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _never() -> bool:
    return False


def _last_error() -> str:
    errors = [line for line in _RING if "error" in line.lower() or "fail" in line.lower()]
    causes = [line for line in errors if not line.endswith("failed to load model")]  # which only says that it is so
    return (causes or errors or _RING or ["no reason given"])[-1].rpartition("error loading model: ")[2]


def windows_for(n_swa: int, n_trunks: int) -> int:
    """Sequences, and so windows, such that a tail of 2,048 tokens can be guarded beside the body's window."""
    guarded = 0 if n_swa == 0 else n_trunks * (2 + -(-2048 // n_swa)) + 1
    return max(3 * n_trunks + 1, guarded)


def _physical_cores() -> int:
    """Physical cores, at most as many as this process may run on: threads that wait for a core wait busily."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    process = psutil.Process()
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else physical
    return max(1, min(physical, allowed))
