"""What a server sends, checked message by message against the meta model: to a raw client, or as it was recorded.

Where the meta model says "anything" but the protocol says more (the value of a progress, the options of a
registration, the error of a cancelled pull), that is checked, too. Our own methods are left out: OURS.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.metamodel import meta_model, reference
from tests.support.raw_client import RawClient

OURS = {"gemma-lsp/cost", "gemma-lsp/explain", "gemma-lsp/status"}  # docs/protocol.md says what is in them
_PROGRESS = {"begin": "WorkDoneProgressBegin", "report": "WorkDoneProgressReport", "end": "WorkDoneProgressEnd"}


class Traffic:
    """What every raw client got since this was made, each with what is wrong with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.complaints: list[str] = []
        self.answered: set[str] = set()  # methods of the client's that had a result
        self.sent: set[str] = set()  # methods of the server's
        self._asked: dict[tuple[int, Any], str] = {}
        send, take = RawClient.send_bytes, RawClient._take

        def noted(client: RawClient, data: bytes) -> None:
            for message in _messages(data):
                if "id" in message and "method" in message:
                    self._asked.setdefault((id(client), repr(message["id"])), message["method"])
            send(client, data)

        def checked(client: RawClient, message: dict[str, Any]) -> None:
            asked = self._asked.get((id(client), repr(message.get("id"))))
            if complaint := self._complaint(message, asked):
                self.complaints.append(f"{complaint}: {message}")
            take(client, message)

        monkeypatch.setattr(RawClient, "send_bytes", noted)
        monkeypatch.setattr(RawClient, "_take", checked)

    def _complaint(self, message: dict[str, Any], asked: str | None) -> str | None:
        """`asked`: the method that is answered, None where the test wrote the request as bytes."""
        method = message.get("method")
        if method is not None:
            self.sent.add(method)
        elif asked is not None and asked not in OURS and "error" not in message:
            self.answered.add(asked)
        return complaint(message, asked)


def complaint(message: dict[str, Any], asked: str | None) -> str | None:
    """What is wrong with a message of the server's. `asked`: the method that it answers, None where nobody knows."""
    method = message.get("method")
    if method is not None:
        wrong = method not in OURS and (meta_model().message(message) or _wrong_direction(method) or _more(message))
        return wrong or None
    if asked is not None and type(message["id"]) is int:
        message = {**message, "id": 0}  # it repeats what the client chose, be it too large for the protocol
    if "error" in message:  # is the same whatever was asked, be it a method that nobody knows
        return meta_model().message(message, asked if asked in meta_model().requests else "shutdown")
    return None if asked is None or asked in OURS else meta_model().message(message, asked)


def recorded_complaints(folder: Path) -> list[str]:
    """What is wrong in the sessions that tests/support/tee.py wrote to a folder, which is emptied.

    Every request must have exactly one answer; of a session that was cut off the last ones may lack theirs.
    """
    complaints: list[str] = []
    for said in sorted(folder.glob("*.client")):
        answered = said.with_suffix(".server")
        complaints += _session_complaints(said.read_bytes(), answered.read_bytes())
        said.unlink()
        answered.unlink()
    return complaints


def _session_complaints(from_client: bytes, from_server: bytes) -> list[str]:
    asked = {repr(m["id"]): m["method"] for m in _messages(from_client) if "id" in m and "method" in m}
    complaints: list[str] = []
    seen: set[str] = set()
    for message in _messages(from_server):
        id_ = repr(message.get("id")) if "method" not in message else None
        if wrong := complaint(message, asked.get(id_) if id_ else None):
            complaints.append(f"{wrong}: {message}")
        if id_ and id_ in seen and message["id"] is not None:
            complaints.append(f"answered twice: {message}")
        seen |= {id_} if id_ else set()
    ended = any(m.get("method") == "exit" for m in _messages(from_client))
    return complaints + [f"never answered: {asked[id_]} {id_}" for id_ in asked if ended and id_ not in seen]


def _messages(data: bytes) -> Iterator[dict[str, Any]]:
    """The messages of a stream, as far as it can be read: tests break off and send what is none."""
    at = 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        fields = (line.partition(b":") for line in data[at:end].splitlines())
        lengths = [value for name, _, value in fields if name.strip().lower() == b"content-length"]
        start = end + 4
        at = start + (int(lengths[0]) if lengths and lengths[0].strip().isdigit() else 0)
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(data[start:at])
            if isinstance(message, dict):
                yield message


def _wrong_direction(method: str) -> str | None:
    model = meta_model()
    known = model.requests.get(method) or model.notifications[method]
    return f"{method} is not for a server to send" if known["messageDirection"] == "clientToServer" else None


def _more(message: dict[str, Any]) -> str | None:
    """What the meta model itself does not look into."""
    model, params = meta_model(), message.get("params")
    if message["method"] == "$/progress":
        value = params["value"]
        if isinstance(value, dict) and "items" in value:  # the one request with partial results that is served
            return model.complaint(reference("WorkspaceDiagnosticReportPartialResult"), value, "value")
        kind = _PROGRESS.get(value.get("kind")) if isinstance(value, dict) else None
        return model.complaint(reference(kind), value, "value") if kind else "value: no progress of work"
    if message["method"] == "client/registerCapability":
        for registration in params["registrations"]:
            if wrong := _options(registration["method"], registration.get("registerOptions")):
                return wrong
    return None


def _options(method: str, options: Any) -> str | None:
    model = meta_model()
    known = model.requests.get(method) or model.notifications.get(method)
    known = known or next((r for r in model.requests.values() if r.get("registrationMethod") == method), None)
    if known is None:
        return f"{method} cannot be registered"
    wanted = known.get("registrationOptions")
    return model.complaint(wanted, options, "registerOptions") if wanted and options is not None else None
