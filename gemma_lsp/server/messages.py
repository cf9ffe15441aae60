"""What kind of JSON-RPC message a piece of JSON is. Pure; knows no method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gemma_lsp.server.errors import LspError, invalid_request

MessageId = int | str


@dataclass(frozen=True, slots=True)
class Request:
    """To be answered exactly once."""

    id: MessageId
    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Notification:
    """Never answered."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Response:
    """The client's answer to one of our requests."""

    id: MessageId
    result: Any
    error: Any


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a message. It is answered if it was meant as a request, by `id` None where that cannot be used."""

    id: MessageId | None
    error: LspError


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not a message, and nothing that could be answered."""

    why: str


Message = Request | Notification | Response | Malformed | Ignored


def classify(data: object) -> Message:
    """The message in a parsed body. An answer that makes no sense is ignored, lest two servers answer each other."""
    if not isinstance(data, dict):
        return Malformed(None, invalid_request("a message is one JSON object; batches are not part of the protocol"))
    has_id, id_ = "id" in data, _valid_id(data.get("id"))
    if "method" not in data:
        if ("result" in data or "error" in data) and id_ is not None:
            return Response(id_, data.get("result"), data.get("error"))
        return Ignored("neither a method nor an answer")
    method = data["method"]
    if not isinstance(method, str):
        return Malformed(id_, invalid_request("the method is not a string")) if has_id else Ignored("no method")
    if data.get("jsonrpc") != "2.0":
        return Malformed(id_, invalid_request('jsonrpc must be "2.0"')) if has_id else Ignored("not JSON-RPC 2.0")
    if not has_id:
        return Notification(method, data.get("params"))
    if id_ is None:
        return Malformed(None, invalid_request("an id is a whole number or a string"))
    return Request(id_, method, data.get("params"))


def _valid_id(value: object) -> MessageId | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return value
