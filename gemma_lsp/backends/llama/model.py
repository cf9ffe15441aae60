"""A model file as llama.cpp holds it: how it is loaded, and its vocabulary."""

from __future__ import annotations

import ctypes
import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp.llama_cpp as lib

from gemma_lsp.backends.llama.library import forget_errors, last_error
from gemma_lsp.base.errors import ModelInvalid

KV_TYPES = {"f16": lib.GGML_TYPE_F16, "bf16": 30, "q8_0": lib.GGML_TYPE_Q8_0}  # 30: GGML_TYPE_BF16 in ggml.h
FLASH = {"auto": -1, "off": 0, "on": 1}  # enum llama_flash_attn_type in llama.h
_COMPATIBLE = 200  # texts whose compatible tokens are remembered


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


def load_model(options: LlamaOptions) -> Any:
    """The llama_model. Raises `ModelInvalid`."""
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 999 if options.gpu_layers < 0 else options.gpu_layers
    report = options.on_progress

    def progress(fraction: float, data: Any) -> bool:
        if report:
            report(fraction)
        return True

    callback = lib.llama_progress_callback(progress)
    params.progress_callback = callback
    forget_errors()
    model = lib.llama_model_load_from_file(os.fsencode(options.path), params)
    if not model:
        raise ModelInvalid(f"llama.cpp cannot load {options.path}: {last_error()}; choose another GGUF file")
    return model


def meta(model: Any, key: str) -> str:
    """A text from the GGUF's metadata; "" where there is none."""
    buffer = ctypes.create_string_buffer(512)
    n = lib.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if n >= 0 else ""


class Vocabulary:
    """The tokens of one model. Any thread, while the model is loaded."""

    def __init__(self, model: Any) -> None:
        self.pointer = lib.llama_model_get_vocab(model)
        self.n_tokens = int(lib.llama_vocab_n_tokens(self.pointer))
        self._sorted: list[tuple[bytes, int]] = []
        self._sorting = threading.Lock()
        self._compatible: dict[bytes, array[int]] = {}  # a cursor behind a space has half the vocabulary to choose from

    @property
    def bos(self) -> int | None:
        """The token that begins every prompt, where the model was trained so."""
        return int(lib.llama_vocab_bos(self.pointer)) if lib.llama_vocab_get_add_bos(self.pointer) else None

    def written(self, token: int) -> str:
        """A token as text, as templates write it."""
        return self.piece(token).decode("utf-8", "replace")

    def fim(self) -> dict[str, str]:
        """The tokens of fill-in-the-middle that the model declares."""
        vocab = self.pointer
        found = {
            "prefix": lib.llama_vocab_fim_pre(vocab),
            "suffix": lib.llama_vocab_fim_suf(vocab),
            "middle": lib.llama_vocab_fim_mid(vocab),
            "repo": lib.llama_vocab_fim_rep(vocab),
            "separator": lib.llama_vocab_fim_sep(vocab),
        }
        return {name: self.written(token) for name, token in found.items() if token >= 0}

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Tokens of a text, no BOS added; `special`: control tokens may be written out in it."""
        raw = text.encode("utf-8", "replace")
        size = len(raw) + 16
        out = (lib.llama_token * size)()
        n = lib.llama_tokenize(self.pointer, raw, len(raw), out, size, False, special)
        if n < 0:
            out = (lib.llama_token * -n)()
            n = lib.llama_tokenize(self.pointer, raw, len(raw), out, -n, False, special)
        return list(out[:n])

    def piece(self, token: int) -> bytes:
        """The token's bytes, control tokens' too; nothing for a negative one."""
        if token < 0:
            return b""
        buffer = ctypes.create_string_buffer(64)
        n = lib.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, True)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = lib.llama_token_to_piece(self.pointer, token, buffer, len(buffer), 0, True)
        return buffer.raw[: max(0, n)]

    def is_end(self, token: int) -> bool:
        """Whether it ends a generation."""
        return bool(lib.llama_vocab_is_eog(self.pointer, token))

    def compatible(self, text: bytes) -> Sequence[int]:
        """Tokens that begin with the text, or that the text begins with; remembered."""
        found = self._compatible.get(text)
        if found is None:
            if len(self._compatible) >= _COMPATIBLE:
                self._compatible.clear()
            found = self._compatible[text] = array("i", self._find_compatible(text))
        return found

    def _find_compatible(self, text: bytes) -> list[int]:
        with self._sorting:
            if not self._sorted:
                ordinary = (t for t in range(self.n_tokens) if not lib.llama_vocab_is_control(self.pointer, t))
                self._sorted = sorted((piece, t) for t in ordinary if (piece := self.piece(t)))
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
