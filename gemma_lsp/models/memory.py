"""How much memory a model and its context take, and which context fits. Pure arithmetic over a `ModelShape`.

The cache's formula is llama.cpp's (src/llama-kv-cache-iswa.cpp) and exact.
The compute buffer is an estimate, from above: on the CPU with Gemma 3 270M and SmolLM2-135M, over 96 contexts of 1K to
32K tokens, it exceeded what llama.cpp reported by 2 to 17 MB (tests/unit/test_memory.py has a sample). Larger models
and GPUs were not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gemma_lsp.base.errors import ModelTooLarge
from gemma_lsp.models.shape import LayerShape, ModelShape
from gemma_lsp.models.tensor_types import tensor_bytes

CELL_STEP: Final = 256
"""Contexts are multiples of this; llama.cpp pads the sliding half to it as well."""

MIN_CTX: Final = 1024
"""Tokens below which no prompt of ours is of use (guessed)."""

_KV_TYPE_IDS: Final = {"f16": 1, "bf16": 30, "q8_0": 8}

_USABLE: Final = 0.92
"""Share of the available memory to plan with; the rest is for what is not modelled here (guessed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """What is asked of the context. `n_ctx` 0 means as much as fits, at most `max_ctx` (0: as trained)."""

    n_ctx: int = 0
    max_ctx: int = 0
    kv_type: str = "f16"
    flash_attention: bool = True
    n_seq_max: int = 2
    n_ubatch: int = 512
    n_outputs_max: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """A context that fits, and where the bytes go."""

    n_ctx: int
    weight_bytes: int
    kv_full_bytes: int
    kv_sliding_bytes: int
    compute_bytes: int
    available_bytes: int
    explanation: str

    @property
    def total_bytes(self) -> int:
        """Everything that the plan counts."""
        return self.weight_bytes + self.kv_full_bytes + self.kv_sliding_bytes + self.compute_bytes


def plan_memory(shape: ModelShape, available_bytes: int, options: MemoryOptions) -> MemoryPlan:
    """The plan for the context asked for, or for the largest one that fits into `available_bytes`.

    Raises:
        ModelTooLarge: the context asked for does not fit, or not even `MIN_CTX` tokens do.
    """
    usable = int(available_bytes * _USABLE)
    largest = _largest_fitting(shape, usable, options)
    if largest == 0:
        raise ModelTooLarge(_too_large(shape, available_bytes, options))
    if options.n_ctx and (wanted := _asked(shape, options)) > largest:
        needed = _gigabytes(needed_bytes(shape, wanted, options))
        raise ModelTooLarge(
            f"a context of {wanted:,} tokens needs {needed} and {_gigabytes(available_bytes)} are available; "
            f"set model.n_ctx to {largest} or less, or model.kv_type to q8_0"
        )
    n_ctx = _asked(shape, options) if options.n_ctx else largest
    parts = _parts(shape, n_ctx, options)
    return MemoryPlan(
        n_ctx=n_ctx,
        weight_bytes=parts[0],
        kv_full_bytes=parts[1],
        kv_sliding_bytes=parts[2],
        compute_bytes=parts[3],
        available_bytes=available_bytes,
        explanation=_explain(shape, n_ctx, parts, available_bytes, options),
    )


def needed_bytes(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> int:
    """Bytes for weights, cache and computing at `n_ctx` tokens."""
    return sum(_parts(shape, n_ctx, options))


def kv_bytes_per_token(shape: ModelShape, kv_type: str = "f16") -> int:
    """Bytes that one more token of context takes: the full layers' share."""
    return _cell_bytes(shape.full_layers, kv_type)


def sliding_cells(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> int:
    """Cells of the sliding half of a unified, windowed cache; 0 where no layer slides."""
    if not shape.n_swa:
        return 0
    return _pad(min(n_ctx, shape.n_swa * options.n_seq_max + options.n_ubatch))


def kv_sliding_bytes(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> int:
    """Bytes of the sliding half of the cache."""
    return sliding_cells(shape, n_ctx, options) * _cell_bytes(shape.sliding_layers, options.kv_type)


def compute_bytes(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> int:
    """Bytes to compute with (an estimate): activations of a micro-batch, attention masks or scores, logits."""
    n_tokens = min(options.n_ubatch, n_ctx)
    activations = n_tokens * 4 * (4 * shape.n_ff + 2 * shape.n_embd)
    logits = options.n_outputs_max * shape.n_vocab * 4
    if options.flash_attention:
        attention = n_tokens * 2 * (n_ctx + sliding_cells(shape, n_ctx, options))
    else:
        attention = n_tokens * 4 * (shape.n_head + 1) * n_ctx + n_tokens * 4 * sliding_cells(shape, n_ctx, options)
    return activations + logits + attention + _shift_scratch(shape, n_ctx, options)


def _shift_scratch(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> int:
    """A K-shift dequantises, rotates and requantises: two copies of a layer's K as 32-bit floats."""
    if not options.kv_type.startswith("q"):
        return 0
    return 2 * 4 * n_ctx * max((layer.n_key_values for layer in shape.full_layers), default=0)


def _parts(shape: ModelShape, n_ctx: int, options: MemoryOptions) -> tuple[int, int, int, int]:
    return (
        shape.file_bytes,
        n_ctx * kv_bytes_per_token(shape, options.kv_type),
        kv_sliding_bytes(shape, n_ctx, options),
        compute_bytes(shape, n_ctx, options),
    )


def _cell_bytes(layers: tuple[LayerShape, ...], kv_type: str) -> int:
    rows = [n_values for layer in layers for n_values in (layer.n_key_values, layer.n_value_values)]
    return sum(tensor_bytes(_KV_TYPE_IDS[kv_type], (n_values,)) or 0 for n_values in rows)


def _asked(shape: ModelShape, options: MemoryOptions) -> int:
    """The context asked for, as llama.cpp would get it: within what the model was trained on, in whole steps."""
    return max(CELL_STEP, min(_pad(options.n_ctx), _ceiling(shape, MemoryOptions())))


def _ceiling(shape: ModelShape, options: MemoryOptions) -> int:
    limit = min(shape.n_ctx_train, options.max_ctx or shape.n_ctx_train)
    return max(CELL_STEP, limit // CELL_STEP * CELL_STEP)


def _largest_fitting(shape: ModelShape, usable: int, options: MemoryOptions) -> int:
    """The largest context within `usable` bytes; 0 where the smallest one that is of use does not fit."""
    ceiling = _ceiling(shape, MemoryOptions() if options.n_ctx else options)
    low, high = min(MIN_CTX, ceiling) // CELL_STEP, ceiling // CELL_STEP
    if needed_bytes(shape, low * CELL_STEP, options) > usable:
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        fits = needed_bytes(shape, middle * CELL_STEP, options) <= usable
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * CELL_STEP


def _pad(n_tokens: int) -> int:
    return -(-n_tokens // CELL_STEP) * CELL_STEP


def _explain(
    shape: ModelShape, n_ctx: int, parts: tuple[int, int, int, int], available: int, options: MemoryOptions
) -> str:
    weights, full, sliding, compute = map(_gigabytes, parts)
    per_token = kv_bytes_per_token(shape, options.kv_type) / 1024
    window = f" + {sliding} for the windows of {shape.n_swa:,} tokens" if shape.n_swa else ""
    whole = n_ctx == _ceiling(shape, MemoryOptions())
    bound = "all" if whole else f"of the {shape.n_ctx_train:,}"
    context = f"{full} for {n_ctx:,} tokens of context ({bound} that the model was trained on; {per_token:.1f} KB each)"
    total = f"{_gigabytes(sum(parts))} of {_gigabytes(available)}"
    return f"{weights} of weights + {context}{window} + {compute} to compute = {total}"


def _too_large(shape: ModelShape, available: int, options: MemoryOptions) -> str:
    least = min(MIN_CTX, _ceiling(shape, MemoryOptions()))
    return (
        f"{shape.name} needs {_gigabytes(needed_bytes(shape, least, options))} with the smallest context of {least:,} "
        f"tokens and {_gigabytes(available)} are available; use a smaller model, or close other programs"
    )


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
