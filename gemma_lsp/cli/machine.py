"""What the machine offers and which context fits into it. The only measuring is in `this_machine`; the rest is pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psutil

from gemma_lsp.backends.llama import Gpu, gpus, windows_for
from gemma_lsp.base.errors import ModelTooLarge
from gemma_lsp.engine.spec import EngineSpec
from gemma_lsp.models.memory import MemoryOptions, MemoryPlan, kv_sliding_bytes, plan_memory
from gemma_lsp.models.shape import ModelShape

CPU_MAX_CTX = 32_768
"""Context that a CPU gets unless `model.n_ctx` asks for more: filling it takes two minutes at 250 tokens/s."""


CHEAP_WINDOWS = 256 << 20
"""Bytes of sliding windows that a second resident workspace may bring the cache to; guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Memory in bytes: what is free now, and what there is."""

    ram_available: int
    ram_total: int
    gpus: tuple[Gpu, ...] = ()


def this_machine() -> Machine:
    """Measures the machine. Asking llama.cpp for GPUs may start their drivers: tenths of a second."""
    memory = psutil.virtual_memory()
    return Machine(ram_available=memory.available, ram_total=memory.total, gpus=gpus())


def uses_gpu(spec: EngineSpec, machine: Machine) -> bool:
    """Whether any layer goes to a GPU."""
    return bool(machine.gpus) and spec.gpu_layers != 0


def workspaces_for(spec: EngineSpec, shape: ModelShape) -> int:
    """Workspaces that the engine keeps side by side: a second one costs cells of the sliding window, and only those."""
    if spec.workspaces:
        return spec.workspaces
    options = MemoryOptions(kv_type=spec.kv_type, n_seq_max=windows_for(shape.n_swa, 2), n_ubatch=spec.n_batch)
    return 2 if kv_sliding_bytes(shape, CPU_MAX_CTX, options) <= CHEAP_WINDOWS else 1


def plan_for(spec: EngineSpec, shape: ModelShape, machine: Machine) -> MemoryPlan:
    """The context that the engine of `spec` makes on this machine. Raises `ModelTooLarge`."""
    on_gpu = uses_gpu(spec, machine)
    spec = replace(spec, workspaces=workspaces_for(spec, shape))
    options = MemoryOptions(
        n_ctx=spec.n_ctx,
        max_ctx=0 if on_gpu else CPU_MAX_CTX,
        kv_type=spec.kv_type,
        flash_attention=spec.flash_attention != "off",
        n_seq_max=windows_for(shape.n_swa, spec.workspaces),
        n_ubatch=spec.n_batch,
        n_outputs_max=max(8, windows_for(shape.n_swa, spec.workspaces)),
    )
    try:
        return plan_memory(shape, _available(spec, machine), options)
    except ModelTooLarge as error:
        if on_gpu and spec.gpu_layers < 0:
            raise ModelTooLarge(f"{error}; or keep layers off the GPU with model.gpu_layers") from error
        raise


def _available(spec: EngineSpec, machine: Machine) -> int:
    """What weights, cache and buffers may take: the GPUs' memory if all layers go there, else the RAM as well."""
    free = sum(gpu.free for gpu in machine.gpus)
    if not uses_gpu(spec, machine) or not free:
        return machine.ram_available
    return free if spec.gpu_layers < 0 else free + machine.ram_available
