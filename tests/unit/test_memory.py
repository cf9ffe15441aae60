"""How much memory a model takes: llama.cpp's own numbers, and what is planned with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.base.errors import ModelTooLarge
from gemma_lsp.models.memory import (
    CELL_STEP,
    MIN_CTX,
    MemoryOptions,
    compute_bytes,
    kv_bytes_per_token,
    kv_sliding_bytes,
    needed_bytes,
    plan_memory,
    sliding_cells,
)
from gemma_lsp.models.shape import FimTokens, LayerShape, ModelShape

MIB = 1 << 20


def make_shape(layers: list[LayerShape], **changes: object) -> ModelShape:
    shape = ModelShape(
        path=Path("model.gguf"),
        file_bytes=1_000_000,
        name="test",
        architecture="test",
        n_layers=len(layers),
        n_embd=640,
        n_ff=2048,
        n_head=4,
        n_ctx_train=32768,
        n_vocab=262144,
        n_swa=512,
        layers=tuple(layers),
        is_recurrent=False,
        has_chat_template=False,
        fim=FimTokens(),
    )
    return dataclasses.replace(shape, **changes)  # type: ignore[arg-type]


def interleaved(n_layers: int, period: int, sliding: LayerShape, full: LayerShape) -> list[LayerShape]:
    return [full if (layer + 1) % period == 0 else sliding for layer in range(n_layers)]


def layer(n_head_kv: int, length: int, *, is_sliding: bool) -> LayerShape:
    return LayerShape(n_head_kv=n_head_kv, key_length=length, value_length=length, is_sliding=is_sliding)


GEMMA3_270M = make_shape(interleaved(18, 6, layer(1, 256, is_sliding=True), layer(1, 256, is_sliding=False)))
SMOLLM2_135M = make_shape(
    [layer(3, 64, is_sliding=False)] * 30, n_swa=0, n_ctx_train=8192, n_embd=576, n_ff=1536, n_head=9, n_vocab=49152
)
GEMMA4_26B = make_shape(
    interleaved(30, 6, layer(8, 256, is_sliding=True), layer(2, 512, is_sliding=False)),
    n_swa=1024,
    n_ctx_train=262144,
    n_embd=2816,
    n_ff=2112,
    n_head=16,
    file_bytes=16_000_000_000,
)


@pytest.mark.parametrize(
    ("kv_type", "n_ubatch", "n_ctx", "n_seq_max", "full_mib", "sliding_mib", "cells"),
    [
        ("f16", 128, 1024, 1, 3.00, 11.25, 768),
        ("f16", 128, 4096, 3, 12.00, 26.25, 1792),
        ("f16", 512, 1024, 3, 3.00, 15.00, 1024),
        ("f16", 512, 32768, 3, 96.00, 30.00, 2048),
        ("q8_0", 512, 1024, 1, 1.59375, 7.96875, 1024),
        ("q8_0", 128, 16384, 3, 25.50, 13.9453125, 1792),
    ],
)
def test_cache_is_what_llama_cpp_reports(
    kv_type: str, n_ubatch: int, n_ctx: int, n_seq_max: int, full_mib: float, sliding_mib: float, cells: int
) -> None:
    """The numbers are from llama.cpp's log for Gemma 3 270M (0.3.36, CPU)."""
    options = MemoryOptions(kv_type=kv_type, n_ubatch=n_ubatch, n_seq_max=n_seq_max)
    assert n_ctx * kv_bytes_per_token(GEMMA3_270M, kv_type) / MIB == full_mib
    assert sliding_cells(GEMMA3_270M, n_ctx, options) == cells
    assert kv_sliding_bytes(GEMMA3_270M, n_ctx, options) / MIB == sliding_mib


@pytest.mark.parametrize(
    ("shape", "flash_attention", "n_ubatch", "n_ctx", "n_seq_max", "reported_mib"),
    [
        (GEMMA3_270M, True, 128, 1024, 1, 8.54),
        (GEMMA3_270M, True, 128, 32768, 3, 12.98),
        (GEMMA3_270M, True, 512, 1024, 1, 19.77),
        (GEMMA3_270M, True, 512, 4096, 3, 23.82),
        (GEMMA3_270M, True, 512, 32768, 3, 51.87),
        (GEMMA3_270M, False, 128, 1024, 1, 8.33),
        (GEMMA3_270M, False, 512, 32768, 3, 334.41),
        (SMOLLM2_135M, True, 512, 1024, 1, 14.51),
        (SMOLLM2_135M, True, 512, 32768, 3, 45.60),
    ],
)
def test_compute_buffer_is_never_estimated_too_low(
    shape: ModelShape, flash_attention: bool, n_ubatch: int, n_ctx: int, n_seq_max: int, reported_mib: float
) -> None:
    """The numbers are from llama.cpp's log (0.3.36, CPU, 8 outputs)."""
    options = MemoryOptions(flash_attention=flash_attention, n_ubatch=n_ubatch, n_seq_max=n_seq_max)
    estimate = compute_bytes(shape, n_ctx, options) / MIB
    assert reported_mib <= estimate <= reported_mib + 17


def test_gemma4_costs_what_the_design_says() -> None:
    """20 KB a token in the full layers, 200 KB in the sliding ones: 100K tokens are 2 GB, not 22."""
    options = MemoryOptions(n_seq_max=1)
    assert kv_bytes_per_token(GEMMA4_26B) == 20 * 1024
    assert kv_sliding_bytes(GEMMA4_26B, 100_096, options) == 1536 * 200 * 1024


def test_model_without_windows_has_no_sliding_cells() -> None:
    """A plain-attention model keeps everything in full layers."""
    shape = make_shape([layer(8, 128, is_sliding=False)] * 4, n_swa=0)
    assert sliding_cells(shape, 4096, MemoryOptions()) == 0
    assert kv_sliding_bytes(shape, 4096, MemoryOptions()) == 0


def test_largest_context_is_the_trained_one() -> None:
    """With memory to spare, the model's own limit holds, and the explanation says so."""
    plan = plan_memory(GEMMA3_270M, 20_000_000_000, MemoryOptions())
    assert plan.n_ctx == 32768
    assert "32,768 tokens of context (all that the model was trained on" in plan.explanation


def test_max_ctx_bounds_the_automatic_choice() -> None:
    """The caller may know that it needs less; the result is still a multiple of the step."""
    assert plan_memory(GEMMA3_270M, 20_000_000_000, MemoryOptions(max_ctx=5000)).n_ctx == 4864


def test_asked_context_is_rounded_up() -> None:
    """A context is a multiple of the step and never shorter than asked."""
    assert plan_memory(GEMMA3_270M, 20_000_000_000, MemoryOptions(n_ctx=5000)).n_ctx == 5120


def test_asked_context_beyond_training_is_cut() -> None:
    """More than the model was trained on would only make it worse."""
    assert plan_memory(GEMMA3_270M, 20_000_000_000, MemoryOptions(n_ctx=1_000_000)).n_ctx == 32768


def test_asked_context_that_does_not_fit_says_what_would() -> None:
    """The message names a context that fits; asking for that works."""
    with pytest.raises(ModelTooLarge, match=r"set model\.n_ctx to (\d+) or less") as caught:
        plan_memory(GEMMA4_26B, 18_000_000_000, MemoryOptions(n_ctx=200_000))
    suggested = int(str(caught.value).split("model.n_ctx to ")[1].split()[0])
    assert plan_memory(GEMMA4_26B, 18_000_000_000, MemoryOptions(n_ctx=suggested)).n_ctx == suggested


def test_model_that_does_not_fit_at_all() -> None:
    """Weights larger than the memory cannot be helped by a smaller context."""
    with pytest.raises(ModelTooLarge, match="use a smaller model"):
        plan_memory(GEMMA4_26B, 8_000_000_000, MemoryOptions())


def test_small_asked_context_is_allowed() -> None:
    """Whoever asks for less than the useful minimum gets it."""
    assert plan_memory(GEMMA3_270M, 20_000_000_000, MemoryOptions(n_ctx=300)).n_ctx == 512


@given(
    available=st.integers(min_value=0, max_value=40_000_000_000),
    options=st.builds(
        MemoryOptions,
        kv_type=st.sampled_from(["f16", "bf16", "q8_0"]),
        flash_attention=st.booleans(),
        n_seq_max=st.integers(1, 8),
        n_ubatch=st.sampled_from([64, 128, 512, 2048]),
        max_ctx=st.integers(0, 300_000),
    ),
)
def test_plan_fits_and_nothing_larger_does(available: int, options: MemoryOptions) -> None:
    """Whatever the memory: a plan is within it, and one step more would not be (or is not allowed)."""
    try:
        plan = plan_memory(GEMMA4_26B, available, options)
    except ModelTooLarge:
        least = min(MIN_CTX, max(CELL_STEP, (options.max_ctx or MIN_CTX) // CELL_STEP * CELL_STEP))
        assert needed_bytes(GEMMA4_26B, least, options) > available * 0.92 - 1
        return
    assert plan.total_bytes <= available
    assert plan.n_ctx % CELL_STEP == 0
    ceiling = min(GEMMA4_26B.n_ctx_train, options.max_ctx or GEMMA4_26B.n_ctx_train)
    if plan.n_ctx + CELL_STEP <= ceiling:
        assert needed_bytes(GEMMA4_26B, plan.n_ctx + CELL_STEP, options) > available * 0.92 - 1
