"""The contexts that docs/models.md promises are those that the memory plan makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gemma_lsp.backends.llama import Gpu
from gemma_lsp.cli.machine import Machine, plan_for
from gemma_lsp.engine.spec import EngineSpec
from gemma_lsp.models.shape import LayerShape, ModelShape
from tests.unit.test_memory import interleaved, layer, make_shape

GB = 10**9
TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")


def gemma(n_layers: int, heads: int, full: LayerShape, **sizes: int) -> ModelShape:
    """One full layer to five sliding ones."""
    layers = interleaved(n_layers, 6, layer(heads, 256, is_sliding=True), full)
    return make_shape(layers, n_swa=1024, n_vocab=262_208, **sizes)


def qwen(n_layers: int, heads: int, **sizes: int) -> ModelShape:
    """Full layers only."""
    layers = [layer(heads, 128, is_sliding=False)] * n_layers
    return make_shape(layers, n_swa=0, n_vocab=152_064, n_ctx_train=32_768, **sizes)


GEMMA4_12B = gemma(48, 8, layer(1, 512, is_sliding=False), n_embd=3840, n_ff=15_360, n_head=16, n_ctx_train=262_144)
MODELS = {
    "Qwen2.5-Coder 1.5B Q4_K_M, 1.1 GB": qwen(28, 2, n_embd=1536, n_ff=8960, n_head=12, file_bytes=1_120_000_000),
    "Qwen2.5-Coder 3B Q4_K_M, 1.9 GB": qwen(36, 2, n_embd=2048, n_ff=11_008, n_head=16, file_bytes=1_930_000_000),
    "Qwen2.5-Coder 7B Q4_K_M, 4.7 GB": qwen(28, 4, n_embd=3584, n_ff=18_944, n_head=28, file_bytes=4_680_000_000),
    "Gemma 3 4B Q4_K_M, 2.5 GB": gemma(
        34,
        4,
        layer(4, 256, is_sliding=False),
        n_embd=2560,
        n_ff=10_240,
        n_head=8,
        n_ctx_train=131_072,
        file_bytes=2_490_000_000,
    ),
    "Gemma 4 12B Q4_0, 7.0 GB": replace(GEMMA4_12B, file_bytes=7 * GB),
    "Gemma 4 12B Q6_K, 9.8 GB": replace(GEMMA4_12B, file_bytes=9_790_000_000),
    "Gemma 4 12B Q8_0, 12.7 GB": replace(GEMMA4_12B, file_bytes=12_670_000_000),
}
ROWS = (
    ("GPU with 8 GB", 7.5, "Gemma 3 4B Q4_K_M, 2.5 GB", True),
    ("", 7.5, "Qwen2.5-Coder 7B Q4_K_M, 4.7 GB", True),
    ("GPU with 12 GB", 11, "Gemma 4 12B Q4_0, 7.0 GB", True),
    ("GPU with 16 GB", 16, "Gemma 4 12B Q4_0, 7.0 GB", True),
    ("", 16, "Gemma 4 12B Q6_K, 9.8 GB", True),
    ("GPU with 24 GB", 24, "Gemma 4 12B Q8_0, 12.7 GB", True),
    ("Mac with 16 GB", 11, "Gemma 4 12B Q4_0, 7.0 GB", True),
    ("Mac with 32 GB", 22, "Gemma 4 12B Q8_0, 12.7 GB", True),
    ("CPU only, 8 GB of RAM", 4, "Qwen2.5-Coder 1.5B Q4_K_M, 1.1 GB", False),
    ("CPU only, 16 GB of RAM", 10, "Qwen2.5-Coder 3B Q4_K_M, 1.9 GB", False),
    ("", 10, "Gemma 3 4B Q4_K_M, 2.5 GB", False),
)


@pytest.mark.parametrize(("machine", "free", "model", "on_gpu"), ROWS)
def test_a_row_is_what_the_plan_says(machine: str, free: float, model: str, on_gpu: bool) -> None:
    """The plan is the one that `doctor` shows, with as much memory free as the row assumes."""
    n_bytes = int(free * GB)
    gpus = (Gpu("GPU", n_bytes, n_bytes),) if on_gpu else ()
    host = Machine(ram_available=n_bytes, ram_total=2 * n_bytes, gpus=gpus)
    plans = [plan_for(EngineSpec(model="m", kv_type=kind), MODELS[model], host) for kind in ("f16", "q8_0")]
    cells = " | ".join(f"{plan.n_ctx:,} | {plan.total_bytes / GB:.1f} GB" for plan in plans)
    row = f"| {machine} | {free:g} GB | {model} | {cells} |"
    assert row in TEXT, row
