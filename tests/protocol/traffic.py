"""What a server sends to a raw client, checked message by message against the meta model.

Where the meta model says "anything" but the protocol says more (the value of a progress, the options of a
registration, the error of a cancelled pull), that is checked, too. Our own methods are left out: OURS.
"""

from __future__ import annotations

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
        send, take = RawClient.send, RawClient._take

        def noted(client: RawClient, message: Any) -> None:
            if isinstance(message, dict) and "id" in message and "method" in message:
                self._asked.setdefault((id(client), repr(message["id"])), message["method"])
            send(client, message)

        def checked(client: RawClient, message: dict[str, Any]) -> None:
            asked = self._asked.get((id(client), repr(message.get("id"))))
            if complaint := self._complaint(message, asked):
                self.complaints.append(f"{complaint}: {message}")
            take(client, message)

        monkeypatch.setattr(RawClient, "send", noted)
        monkeypatch.setattr(RawClient, "_take", checked)

    def _complaint(self, message: dict[str, Any], asked: str | None) -> str | None:
        """`asked`: the method that is answered, None where the test wrote the request as bytes."""
        method = message.get("method")
        if method is not None:
            self.sent.add(method)
            wrong = method not in OURS and (meta_model().message(message) or _wrong_direction(method) or _more(message))
            return wrong or None
        if "error" in message:  # is the same whatever was asked, be it a method that nobody knows
            return meta_model().message(message, asked if asked in meta_model().requests else "shutdown")
        if asked is None or asked in OURS:
            return None
        self.answered.add(asked)
        return meta_model().message(message, asked)


def _wrong_direction(method: str) -> str | None:
    model = meta_model()
    known = model.requests.get(method) or model.notifications[method]
    return f"{method} is not for a server to send" if known["messageDirection"] == "clientToServer" else None


def _more(message: dict[str, Any]) -> str | None:
    """What the meta model itself does not look into."""
    model, params = meta_model(), message.get("params")
    if message["method"] == "$/progress":
        value = params["value"]
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
