"""Can this build move this model's cells? Tried in a child process, because where it cannot, llama.cpp may abort.

Asked of a context of 256 cells, where both halves of a windowed cache are of one size: `llama_memory_can_shift` says no
of any other, whatever the model can do. Then 48 tokens are moved, and what follows them must be what followed before:
a rotation that is not the model's own (partial, or of quantised keys) shows there. Where the engine uses a GPU the last
layer is tried on it, too. What was found is kept in the user's cache folder, for this file, build and cache type.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
import platformdirs
from numpy.typing import NDArray

from gemma_lsp.backends.llama import library
from gemma_lsp.backends.llama.model import FLASH, KV_TYPES, LlamaOptions, Vocabulary
from gemma_lsp.base.programs import own_module

SECONDS = 60.0  # a slow disk; bf16 keys never came back on one machine
TIMES = 3  # that a child may not come back until that is the answer: it may have been the machine's other work
CELLS, FED, MOVED_BY, ASKED = 256, 48, 24, 4
LIMIT = {"f16": 0.01, "bf16": 0.05, "q8_0": 0.02}  # nats of KL in the mean; wrong rotations are off by more than 1
_TEXT = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\n" * 3


def can_shift(options: LlamaOptions, identity: str, *, on_gpu: bool = False) -> bool:
    """Whether moved cells are as good as they were; False too where the child does not come back."""
    known = _known()
    before = known.get(identity, 0)
    if isinstance(before, bool) or before >= TIMES:
        return before is True
    found = _tried(json.dumps([options.path, options.kv_type, options.flash_attention, 2 * on_gpu]))
    known[identity] = before + 1 if found is None else found
    with contextlib.suppress(OSError):  # then it is tried again the next time
        found_file().parent.mkdir(parents=True, exist_ok=True)
        found_file().write_text(json.dumps(known), "utf-8")
    return found is True


def found_file() -> Path:
    """Where it is kept what could be moved, by the identity of model, build and settings."""
    return Path(platformdirs.user_cache_dir("gemma-lsp", appauthor=False)) / "shifts.json"


def _known() -> dict[str, bool | int]:
    """What was found; a number: how often the child did not come back."""
    try:
        said = json.loads(found_file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): v for k, v in said.items() if isinstance(v, bool | int)} if isinstance(said, dict) else {}


def _tried(said: str) -> bool | None:
    """None: it did not come back in time."""
    try:
        command = own_module(__name__, said)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None
    except OSError:
        return False
    return done.returncode == 0


def moved_well(path: str, kv_type: str, flash: str, gpu_layers: int = 0) -> bool:
    """The trial itself. May abort the process."""
    library.start()
    weights = lib.llama_model_default_params()
    weights.n_gpu_layers = gpu_layers
    model = lib.llama_model_load_from_file(path.encode(), weights)
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = CELLS
    params.n_seq_max, params.kv_unified = 1, True
    params.type_k = params.type_v = KV_TYPES[kv_type]
    params.flash_attn_type = FLASH[flash]
    ctx = lib.llama_init_from_model(model, params) if model else None
    if not ctx:
        return False
    memory = lib.llama_get_memory(ctx)
    if not lib.llama_memory_can_shift(memory):
        return False
    vocab = Vocabulary(model)
    tokens = vocab.tokenize(_TEXT, False)[: FED + ASKED]
    _feed(ctx, tokens[:FED], 0)
    before = _rows(ctx, tokens[FED:], FED, vocab.n_tokens)
    lib.llama_memory_seq_rm(memory, 0, FED, -1)
    lib.llama_memory_seq_add(memory, 0, 0, -1, MOVED_BY)
    after = _rows(ctx, tokens[FED:], FED + MOVED_BY, vocab.n_tokens)
    differs = float((np.exp(before) * (before - after)).sum(axis=-1).mean())
    return bool(differs <= LIMIT[kv_type])


def _feed(ctx: Any, tokens: list[int], position: int) -> None:
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for n, token in enumerate(tokens):
        batch.token[n], batch.pos[n], batch.logits[n] = token, position + n, True
        batch.n_seq_id[n], batch.seq_id[n][0] = 1, 0
    code = lib.llama_decode(ctx, batch)
    lib.llama_batch_free(batch)
    if code:
        raise RuntimeError(f"llama_decode: {code}")


def _rows(ctx: Any, tokens: list[int], position: int, n_vocab: int) -> NDArray[np.float64]:
    """Log-probabilities after each token."""
    _feed(ctx, tokens, position)
    found = np.ctypeslib.as_array(lib.llama_get_logits(ctx), (len(tokens), n_vocab)).astype(np.float64)
    found -= found.max(axis=-1, keepdims=True)
    found -= np.log(np.exp(found).sum(axis=-1, keepdims=True))
    return found


if __name__ == "__main__":
    sys.exit(0 if moved_well(*json.loads(sys.argv[1])) else 1)
