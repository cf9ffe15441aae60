"""`gemma-lsp serve`: the language server over standard input and output, which belong to the protocol alone."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NoReturn

from gemma_lsp import server
from gemma_lsp.cli.engines import engine_factory


def run_serve(*, model: str, log_file: Path | None, log_level: str) -> NoReturn:
    """Serves until the client goes, and ends the process with the exit code that the protocol asks for."""
    options = server.ServeOptions(model=model or None, log_file=log_file, log_level=log_level)
    code = server.run(options, engine_factory(model))
    logging.shutdown()
    # The thread that reads stdin may hold its lock for ever; the interpreter's own way out waits for that and aborts.
    os._exit(code)
