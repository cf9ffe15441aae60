"""From settings to a running engine. The server is handed `engine_factory`, and so never knows where engines come from.

Light on purpose: `serve` imports it before it answers `initialize`, so llama.cpp must not come along.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from gemma_lsp.app.threads import in_thread
from gemma_lsp.config.load import merge, repository_source, user_source
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.connect import SocketClient
from gemma_lsp.engine.spec import EngineSpec
from gemma_lsp.models.discover import FoundModel, Search, find_model

log = logging.getLogger(__name__)

IDLE_ENVIRONMENT = "GEMMA_LSP_ENGINE_IDLE_S"
"""Seconds without a client after which an engine exits; wins over the setting. For tests and scripts."""

_FOREVER_S = 1e9
_SHARE_OF_RAM = 0.7  # a found model may weigh so much; guessed: the rest is for its context and everything else


def settings_for(root: Path, *, quiet: bool = False) -> Settings:
    """The settings of a command that no editor started: the user's file and the repository's.

    Problems are logged, unless the caller says that somebody else tells them.
    """
    loaded = merge((user_source(), repository_source(root)))
    for problem in () if quiet else loaded.problems:
        log.warning("%s", problem)
    return loaded.settings


def find(settings: Settings, model: str = "") -> FoundModel:
    """The model to run: `model` if named on the command line, else as the settings say. Raises `ModelError`."""
    largest = int(psutil.virtual_memory().total * _SHARE_OF_RAM)
    if model:
        return find_model(Search(model_path=model, named_by="--model"))
    return find_model(Search(model_path=settings.model.path, max_bytes=largest))


def engine_spec(settings: Settings, model_path: Path) -> EngineSpec:
    """The engine that the settings ask for."""
    return EngineSpec(
        model=str(model_path),
        n_ctx=settings.model.n_ctx,
        gpu_layers=settings.model.gpu_layers,
        threads=settings.model.threads,
        flash_attention=settings.model.flash_attention,
        kv_type=settings.model.kv_type,
        n_batch=settings.model.n_batch,
        nice=settings.engine.nice,
        snapshot_mb=settings.engine.snapshot_mb,
        masks=settings.engine.masks,
        idle_exit_s=_idle_exit_s(settings),
    )


def engine_factory(model: str = "") -> Callable[[Settings], Awaitable[EngineClient]]:
    """A function that connects to the engine of given settings, starting it if need be. `model` overrides theirs."""

    async def connect(settings: Settings) -> EngineClient:
        found = await in_thread(lambda _: find(settings, model), "find-model")
        client = SocketClient(engine_spec(settings, found.path))
        await client.connect()
        return client

    return connect


def _idle_exit_s(settings: Settings) -> float:
    if override := os.environ.get(IDLE_ENVIRONMENT):
        return float(override)
    return settings.engine.idle_exit_minutes * 60.0 or _FOREVER_S
