"""llama.cpp's own llama-server as the other side of a comparison: started here, asked over loopback, ended here.

Blocks; one thread. It is given tokens, not text, so both sides read exactly the same prompt.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from gemma_lsp.base.errors import GemmaLspError

BEST = ("--cache-reuse", "256", "--swa-full")
"""Flags with which it keeps most of an edited prompt: shifted chunks of 256 tokens, and the whole sliding half."""

THEIRS, THEIRS_BEST = "llama-server", "llama-server, best"
"""What it is called with its default flags, and with `BEST`."""

_LOOPBACK = "127.0.0.1"
_START_S, _ANSWER_S, _END_S = 180.0, 900.0, 10.0


class LlamaServerError(GemmaLspError):
    """llama-server is not there, or does not do what it is asked."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Tokens that one answer evaluated of its prompt, milliseconds it took, and tokens that it wrote."""

    evaluated: int
    ms: float
    generated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What is started: model, context in tokens, threads, and further flags."""

    program: str
    model: str
    n_ctx: int
    threads: int
    flags: tuple[str, ...] = ()


def find_llama_server(place: Path) -> str:
    """The program, or the one in a folder of llama.cpp's binaries. Raises `LlamaServerError`."""
    found = shutil.which("llama-server", path=str(place)) if place.is_dir() else shutil.which(str(place))
    if found is None:
        raise LlamaServerError(f"there is no llama-server at {place}; name the program or the folder that it is in")
    return found


class LlamaServer:
    """A running llama-server; use it as a context manager, which ends it."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._port = _free_port()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        o = options
        command = [o.program, "-m", o.model, "-c", str(o.n_ctx), "-t", str(o.threads)]
        command += ["--host", _LOOPBACK, "--port", str(self._port), *o.flags]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    @property
    def flags(self) -> tuple[str, ...]:
        """Those beyond model, context and threads."""
        return self._options.flags

    def __enter__(self) -> LlamaServer:
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def first_token(self, tokens: Sequence[int]) -> Answered:
        """Asks for one token behind a prompt. Raises `LlamaServerError`."""
        body = {"prompt": list(tokens), "n_predict": 1, "temperature": 0.0, "cache_prompt": True}
        start = time.perf_counter()
        status, found = self._ask("POST", "/completion", body, _ANSWER_S)
        spent = 1000 * (time.perf_counter() - start)
        try:
            return Answered(int(found["timings"]["prompt_n"]), spent)
        except (KeyError, TypeError) as error:
            raise LlamaServerError(f"llama-server answered {status}: {json.dumps(found)[:300]}") from error

    def infill(self, before: str, after: str, n_predict: int) -> tuple[str, Answered]:
        """What it writes between two texts, greedily, and what that took in all. Raises `LlamaServerError`."""
        body = {"input_prefix": before, "input_suffix": after, "n_predict": n_predict, "temperature": 0.0}
        start = time.perf_counter()
        status, found = self._ask("POST", "/infill", {**body, "cache_prompt": True}, _ANSWER_S)
        spent = 1000 * (time.perf_counter() - start)
        try:
            timings = found["timings"]
            answered = Answered(int(timings["prompt_n"]), spent, int(timings.get("predicted_n", 0)))
            return str(found["content"]), answered
        except (KeyError, TypeError) as error:
            raise LlamaServerError(f"llama-server answered {status}: {json.dumps(found)[:300]}") from error

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)
        self._log.close()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise LlamaServerError(f"llama-server ended with exit code {self._process.returncode}: {self._said()}")
            try:
                if self._ask("GET", "/health", None, 5.0)[0] == http.client.OK:
                    return
            except LlamaServerError:
                pass  # it does not listen yet
            time.sleep(0.1)
        raise LlamaServerError(f"llama-server did not load the model within {_START_S:.0f} s; choose a smaller --model")

    def _ask(self, method: str, path: str, body: Any, limit_s: float) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(_LOOPBACK, self._port, timeout=limit_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LlamaServerError(f"llama-server does not answer: {error}") from error
        finally:
            connection.close()

    def _said(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no reason given"


@contextlib.contextmanager
def both(options: ServerOptions) -> Iterator[dict[str, LlamaServer]]:
    """One with its default flags, one with `BEST`. Raises `LlamaServerError`."""
    with LlamaServer(options) as theirs, LlamaServer(replace(options, flags=(*options.flags, *BEST))) as best:
        yield {THEIRS: theirs, THEIRS_BEST: best}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        return int(found.getsockname()[1])
