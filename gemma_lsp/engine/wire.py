"""The messages as bytes: a 4-byte big-endian length, then JSON whose "is" names the message's class.

cattrs does the structuring; a frame that does not parse raises `EngineError` and the connection is closed.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from cattrs.preconf.json import make_converter

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine import messages

MAX_FRAME = 256 * 1024 * 1024
HEADER = struct.Struct(">I")
_CONVERTER = make_converter()
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        messages.Generate,
        messages.Warm,
        messages.Count,
        messages.Learn,
        messages.PutTexts,
        messages.Cancel,
        messages.Status,
        messages.Delta,
        messages.Progress,
        messages.Finished,
        messages.Counted,
        messages.NeedTexts,
        messages.Failed,
        messages.Loading,
        messages.Ready,
        messages.LoadFailed,
        messages.StatusReport,
    )
}


def encode(message: messages.Request | messages.Event) -> bytes:
    """The whole frame of a message."""
    body = json.dumps({"is": type(message).__name__, **_CONVERTER.unstructure(message)}).encode()
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> Any:
    """The message in a frame's body. Raises `EngineError` for anything else."""
    try:
        data = json.loads(body)
        return _CONVERTER.structure(data, _KINDS[data.pop("is")])
    except Exception as error:
        raise EngineError(f"a message of the engine's socket does not parse: {error}; restart the editor") from error
