"""`gemma-lsp engine`: the process that owns llama.cpp. Nothing is written to stdout; stderr is the engine's log."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from gemma_lsp.backends.llama import LlamaBackend, LlamaOptions
from gemma_lsp.cli.machine import CPU_MAX_CTX, plan_for, this_machine, uses_gpu, workspaces_for
from gemma_lsp.engine import process
from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.engine.spec import EngineSpec, address_of, only_one, snapshot_folder
from gemma_lsp.models.shape import read_shape

log = logging.getLogger(__name__)


def run_engine(spec: EngineSpec) -> None:
    """Serves until idle; returns at once if another process is this engine already."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    address = address_of(spec)
    with only_one(address) as mine:
        if not mine:
            log.info("another process is this engine already")
            return
        _yield_to_others(spec.nice)
        engine = Engine(lambda on_progress: _load(spec, on_progress), snapshots=_snapshots(spec))
        asyncio.run(process.serve(engine, address, spec.idle_exit_s))


def llama_options(spec: EngineSpec, on_progress: Callable[[float], None] | None = None) -> LlamaOptions:
    """How to load the model of `spec` on this machine. Raises `ModelError`."""
    machine = this_machine()
    shape = read_shape(Path(spec.model))
    spec = replace(spec, workspaces=workspaces_for(spec, shape))
    plan = plan_for(spec, shape, machine)
    log.info("memory: %s", plan.explanation)
    if spec.n_ctx == 0 and not uses_gpu(spec, machine) and plan.n_ctx == CPU_MAX_CTX < shape.n_ctx_train:
        log.info("without a GPU the context stops at %d tokens; set model.n_ctx for more", CPU_MAX_CTX)
    return LlamaOptions(
        path=spec.model,
        n_ctx=plan.n_ctx,
        gpu_layers=spec.gpu_layers,
        threads=spec.threads,
        flash_attention=spec.flash_attention,
        kv_type=spec.kv_type,
        n_batch=spec.n_batch,
        masks=spec.masks,
        n_trunks=spec.workspaces,
        on_progress=on_progress,
    )


def _snapshots(spec: EngineSpec) -> Callable[[str], SnapshotStore] | None:
    if not spec.snapshot_mb:
        return None
    return lambda identity: SnapshotStore(snapshot_folder(), identity, spec.snapshot_mb << 20)


def _load(spec: EngineSpec, on_progress: Callable[[float], None]) -> Backend:
    expanded = replace(spec, model=str(Path(spec.model).expanduser()))
    backend = LlamaBackend(llama_options(expanded, on_progress))
    info = backend.info
    log.info("%s is ready: %d tokens of context, %s", info.name, info.n_ctx, ", ".join(info.devices) or "on the CPU")
    return backend


def _yield_to_others(nice: int) -> None:
    """Lowers the priority, so that the editor's loop and typing never wait for arithmetic."""
    if not nice:
        return
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(nice)
