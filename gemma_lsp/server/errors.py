"""Errors as the protocol words them: every error answer is made from one of these, never from a traceback."""

from __future__ import annotations

from typing import Any

from lsprotocol.types import ErrorCodes, LSPErrorCodes

from gemma_lsp.base.errors import Cancelled, GemmaLspError


class LspError(Exception):
    """An error answer: a code of the protocol and one sentence for a person."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """The answer's `error` member; `data` is only what the protocol defines for this very error."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        return body if self.data is None else {**body, "data": self.data}


def parse_error() -> LspError:
    """The body was not JSON."""
    return LspError(ErrorCodes.ParseError, "the message is not valid JSON")


def invalid_request(message: str) -> LspError:
    """The message cannot be a request now."""
    return LspError(ErrorCodes.InvalidRequest, message)


def not_initialized(method: str) -> LspError:
    """A request came before `initialize`."""
    return LspError(ErrorCodes.ServerNotInitialized, f"send initialize before {method}")


def method_not_found(method: str) -> LspError:
    """Nobody answers this method here."""
    return LspError(ErrorCodes.MethodNotFound, f"method not found: {method}")


def invalid_params(message: str) -> LspError:
    """The parameters do not fit the method."""
    return LspError(ErrorCodes.InvalidParams, message)


def request_cancelled() -> LspError:
    """The client cancelled the request."""
    return LspError(LSPErrorCodes.RequestCancelled, "the request was cancelled")


def content_modified() -> LspError:
    """The document changed or a newer request came: the answer would be stale. Clients drop this one silently."""
    return LspError(LSPErrorCodes.ContentModified, "the document has changed since the request")


def superseded() -> LspError:
    """A newer pull for the same document came: it will be answered instead."""
    message = "a newer request for the document came"
    return LspError(LSPErrorCodes.ServerCancelled, message, {"retriggerRequest": False})


def request_failed(message: str) -> LspError:
    """The request was well formed but could not be done."""
    return LspError(LSPErrorCodes.RequestFailed, message)


def error_for(error: BaseException) -> LspError | None:
    """The answer to an exception that was raised on purpose; None for a bug."""
    if isinstance(error, LspError):
        return error
    if isinstance(error, Cancelled):
        return request_cancelled()
    if isinstance(error, GemmaLspError):
        return request_failed(str(error))
    return None
