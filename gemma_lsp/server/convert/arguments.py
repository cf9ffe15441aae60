"""The arguments of our commands: one JSON object, every member optional. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from gemma_lsp.prompt.tails import Asked
from gemma_lsp.server.errors import invalid_params

_NOWHERE = types.Range(types.Position(0, 0), types.Position(0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedArgument:
    """A diagnostic that somebody else gave; `line` counts from 0."""

    line: int
    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainArguments:
    """`gemma-lsp.explain {uri, range, about?, diagnostics?, traceback?, id?}`; the edit commands take the same."""

    uri: str
    range: types.Range
    about: Asked = Asked.BUG
    diagnostics: tuple[ReportedArgument, ...] = ()
    traceback: str = ""
    id: str = ""

    @classmethod
    def read(cls, arguments: Sequence[Any], otherwise: tuple[str, types.Range] | None) -> ExplainArguments:
        """Raises `LspError`. Without a place it is `otherwise`; without that, or with a traceback, `uri` is empty."""
        given = _object(arguments)
        traceback = _text(given, "traceback")
        uri, range_ = (None if traceback else otherwise) or ("", _NOWHERE)
        if "uri" in given:
            uri, range_ = _text(given, "uri"), _range(given.get("range"))
        about = _text(given, "about") or Asked.BUG
        if about not in list(Asked):
            raise invalid_params(f"about must be one of {', '.join(Asked)}")
        reported = given.get("diagnostics") or ()
        if not isinstance(reported, Sequence) or isinstance(reported, str):
            raise invalid_params("diagnostics must be a list")
        return cls(
            uri=uri,
            range=range_,
            about=Asked(about),
            diagnostics=tuple(_reported(item) for item in reported),
            traceback=traceback,
            id=_text(given, "id"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AskArguments:
    """`gemma-lsp.ask {question, uri?, range?, id?, follows?}`; without a range it is None."""

    question: str
    uri: str = ""
    range: types.Range | None = None
    id: str = ""
    follows: str = ""

    @classmethod
    def read(cls, arguments: Sequence[Any]) -> AskArguments:
        """Raises `LspError`."""
        given = _object(arguments)
        range_ = _range(given["range"]) if given.get("range") is not None else None
        return cls(
            question=_text(given, "question"),
            uri=_text(given, "uri"),
            range=range_,
            id=_text(given, "id"),
            follows=_text(given, "follows"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedArguments:
    """`gemma-lsp.dismiss {uri, digest}`, `gemma-lsp.stop {id}`, `gemma-lsp.show {uri}`: each names one thing."""

    uri: str = ""
    digest: str = ""
    id: str = ""

    @classmethod
    def read(cls, arguments: Sequence[Any], needed: str) -> NamedArguments:
        """Raises `LspError` where what is needed is missing."""
        given = _object(arguments)
        if not _text(given, needed):
            raise invalid_params(f"{needed} is missing; see docs/protocol.md")
        return cls(uri=_text(given, "uri"), digest=_text(given, "digest"), id=_text(given, "id"))


def _object(arguments: Sequence[Any]) -> Mapping[str, Any]:
    first = arguments[0] if arguments else {}
    if first is None:
        return {}
    if not isinstance(first, Mapping):
        raise invalid_params("the first argument must be an object; see docs/protocol.md")
    return first


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str | int):
        raise invalid_params(f"{name} must be a string")
    return str(value)


def _range(raw: Any) -> types.Range:
    try:
        return types.Range(_position(raw["start"]), _position(raw["end"]))
    except (KeyError, TypeError, ValueError):
        raise invalid_params("range must be a range: {start, end}, each {line, character}") from None


def _position(raw: Any) -> types.Position:
    return types.Position(int(raw["line"]), int(raw["character"]))


def _reported(raw: Any) -> ReportedArgument:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("line"), int):
        raise invalid_params("a diagnostic must be an object: {line, source, message}")
    return ReportedArgument(line=max(0, raw["line"]), source=_text(raw, "source"), message=_text(raw, "message"))
