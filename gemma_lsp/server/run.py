"""`serve`: one session over standard input and output, from the first byte to the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from gemma_lsp.app import EngineFactory
from gemma_lsp.base.errors import ConfigError, GemmaLspError
from gemma_lsp.config.load import Source, Strength, user_source
from gemma_lsp.features.tally_file import TallyFile
from gemma_lsp.server.lanes import ROUTES
from gemma_lsp.server.session import Session
from gemma_lsp.server.stdio import StdoutWriter, start_reading

log = logging.getLogger(__name__)
PARENT_CHECK_S = 3.0
CLOSE_LIMIT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line says; it is stronger than every setting, but for a log level of "info"."""

    model: str | None = None
    log_file: Path | None = None
    log_level: str = "info"


def run(options: ServeOptions, engine_factory: EngineFactory) -> int:
    """Serves until the client says exit or goes away; returns the exit code. Nothing else may write to stdout.

    Raises:
        ConfigError: the log cannot be written where it should be.
    """
    _log_to(options)
    stdin, stdout = sys.stdin.buffer, _own_stdout()
    try:
        return asyncio.run(serve(stdin, stdout, engine_factory, sources(options), TallyFile()))
    except KeyboardInterrupt:
        return 130


def sources(options: ServeOptions) -> tuple[Source, ...]:
    """Settings that do not come from the client: the user's file, and the command line as the last word."""
    values: dict[str, object] = {}
    if options.model:
        values["model"] = {"path": options.model}
    if options.log_level != "info":
        values["log"] = {"level": options.log_level}
    command_line = Source(strength=Strength.INITIALIZATION_OPTIONS, origin="the command line", values=values)
    return (user_source(), command_line)


async def serve(
    stdin: BinaryIO,
    stdout: BinaryIO,
    engine_factory: EngineFactory,
    own_sources: Sequence[Source] = (),
    tally_file: TallyFile | None = None,
) -> int:
    """One session; returns its exit code. A client that goes away without `exit` counts as an abnormal end."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    session = Session(engine_factory, ROUTES, own_sources, tally_file)
    session.protocol.on_exit = end
    loop = asyncio.get_running_loop()

    def gone() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(end, 1)

    writer = StdoutWriter(stdout, gone)
    session.protocol.set_writer(writer)
    start_reading(stdin, session.protocol.on_body, lambda: end(1))
    parent = asyncio.create_task(_watch_parent(session, lambda: end(1)))
    code = await ended
    parent.cancel()
    session.protocol.forget_client()
    with contextlib.suppress(TimeoutError, GemmaLspError):
        await asyncio.wait_for(session.close(), CLOSE_LIMIT_S)
    await session.protocol.settle(CLOSE_LIMIT_S)  # `exit` may overtake the answer to `shutdown`
    await asyncio.to_thread(writer.close)
    return code


async def _watch_parent(session: Session, on_gone: Callable[[], None]) -> None:
    """Ends with the editor that started us, if its process can be seen from here at all."""
    seen = None
    while True:
        await asyncio.sleep(PARENT_CHECK_S)
        parent = session.client.process_id
        if parent is None:
            continue
        if _lives(parent):
            if seen is None:
                log.info("watching the editor's process %d", parent)
            seen = parent
        elif seen == parent:
            log.warning("the editor's process is gone")
            on_gone()
            return


def _lives(pid: int) -> bool:
    """Whether there is such a process. One that has ended is gone, although nobody has asked for its exit code yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError, OverflowError):
        return psutil.pid_exists(pid) if 0 < pid < 2**31 else False


def _own_stdout() -> BinaryIO:
    """The real standard output for the protocol alone; what anything else prints goes to standard error."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


def _log_to(options: ServeOptions) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if options.log_file is not None:
        try:
            handler = logging.FileHandler(options.log_file, encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"the log cannot be written to {options.log_file}: {reason}; name another file"
            raise ConfigError(problem) from error
    logging.basicConfig(handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("gemma_lsp").setLevel(options.log_level.upper())
    logging.getLogger("pygls").setLevel(logging.ERROR)  # its lower levels hold source text
