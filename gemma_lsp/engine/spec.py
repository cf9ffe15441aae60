"""Which engine is wanted, where it listens, and the lock that keeps it the only one. No asyncio, no llama.cpp."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from gemma_lsp import __version__
from gemma_lsp.base.digest import digest_text
from gemma_lsp.base.errors import EngineUnavailable, ModelMissing


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Everything that makes two engines different. `n_ctx` 0 fits the memory; `threads` 0 is the physical cores."""

    model: str
    n_ctx: int = 0
    gpu_layers: int = -1
    threads: int = 0
    flash_attention: str = "auto"
    kv_type: str = "f16"
    n_batch: int = 512
    workspaces: int = 0  # resident side by side; 0: two where a window is cheap, else one
    nice: int = 10
    idle_exit_s: float = 600.0
    snapshot_mb: int = 4096  # 0: nothing is kept on disk
    masks: bool = True

    def to_json(self) -> str:
        """For the engine's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EngineSpec:
        """From the engine's command line."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens: a socket path on Unix, else a file that holds a loopback port; and its lock and log."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """The Unix socket."""
        return self.folder / f"{self.name}.sock"

    @property
    def port_file(self) -> Path:
        """Port and secret of the loopback listener where there are no Unix sockets."""
        return self.folder / f"{self.name}.json"

    @property
    def lock(self) -> Path:
        """Held by the engine for as long as it lives."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """What the engine printed."""
        return self.folder / f"{self.name}.log"


HAS_UNIX_SOCKETS = sys.platform != "win32"


def address_of(spec: EngineSpec) -> Address:
    """The same for every server that wants the same engine of the same version. Raises `ModelMissing`."""
    path = Path(spec.model).expanduser()
    try:
        stat = path.stat()
    except OSError:
        raise ModelMissing(f"there is no model file at {path}; set model.path to a GGUF file") from None
    wanted = {**asdict(spec), "model": str(path.resolve()), "size": stat.st_size, "mtime": stat.st_mtime_ns}
    return Address(runtime_folder(), digest_text(json.dumps([__version__, wanted], sort_keys=True))[:16])


def runtime_folder() -> Path:
    """A folder that only this user can enter. A Unix socket's path may have 107 bytes (unix(7))."""
    chosen = os.environ.get("GEMMA_LSP_RUNTIME_DIR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs tells of its fallback on every start
        folder = Path(chosen) if chosen else Path(platformdirs.user_runtime_dir("gemma-lsp", appauthor=False))
    if not _made_private(folder):
        folder = Path(platformdirs.user_cache_dir("gemma-lsp", appauthor=False)) / "run"
        if not _made_private(folder):
            raise EngineUnavailable(f"{folder} is not yours alone; set GEMMA_LSP_RUNTIME_DIR to a folder that is")
    return folder


def _made_private(folder: Path) -> bool:
    """Makes the folder, for its owner alone; False where it belongs to somebody else, as it may in a shared /tmp."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return sys.platform == "win32" or folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def snapshot_folder() -> Path:
    """Where trunks are kept between two lives of an engine; deleting it is always safe."""
    chosen = os.environ.get("GEMMA_LSP_SNAPSHOT_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("gemma-lsp", appauthor=False)) / "snapshots"


@contextlib.contextmanager
def only_one(address: Address) -> Iterator[bool]:
    """Holds the engine's lock; False if another process has it. The system lets go of it when the process dies."""
    handle = open(address.lock, "a+b")  # noqa: SIM115 - held for as long as the block runs
    try:
        yield _try_lock(handle.fileno())
    finally:
        handle.close()


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
