"""Messages checked against the protocol's official meta model (tests/data/lsp-metamodel).

Plain Python over the JSON: no pygls, no lsprotocol, nothing of the server. A check returns the first complaint, which
names the place, or None where there is nothing to complain about. Members that the meta model does not know are fine.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "data/lsp-metamodel/lsp.json"
MAX = 2**31 - 1
SERVER_CANCELLED = -32802

Json = Any
Type = Mapping[str, Any]


def _is_whole(value: Json, low: int) -> bool:
    return type(value) is int and low <= value <= MAX


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_BASE: dict[str, Callable[[Json], bool]] = {
    "string": lambda value: isinstance(value, str),
    "URI": lambda value: isinstance(value, str),
    "DocumentUri": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_whole(value, -MAX - 1),
    "uinteger": lambda value: _is_whole(value, 0),
    "decimal": _is_number,
}
_ID: Type = {"kind": "or", "items": [{"kind": "base", "name": "integer"}, {"kind": "base", "name": "string"}]}
_ERROR: Type = {
    "kind": "literal",
    "value": {
        "properties": [
            {"name": "code", "type": {"kind": "base", "name": "integer"}},
            {"name": "message", "type": {"kind": "base", "name": "string"}},
            {"name": "data", "type": {"kind": "reference", "name": "LSPAny"}, "optional": True},
        ]
    },
}


def reference(name: str) -> Type:
    """The type that the meta model calls so."""
    return {"kind": "reference", "name": name}


class MetaModel:
    """The types and methods of the protocol, those that are only proposed included."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.requests: dict[str, Any] = {request["method"]: request for request in model["requests"]}
        self.notifications: dict[str, Any] = {note["method"]: note for note in model["notifications"]}
        self._structures = {structure["name"]: structure for structure in model["structures"]}
        self._enumerations = {enumeration["name"]: enumeration for enumeration in model["enumerations"]}
        self._aliases = {alias["name"]: alias["type"] for alias in model["typeAliases"]}
        self._members: dict[str, list[Any]] = {}

    # -- messages --------------------------------------------------------------------------------------------------

    def message(self, message: Json, answered: str | None = None) -> str | None:
        """A whole message. `answered`: the method of the request, if this is the answer to one."""
        if not isinstance(message, dict):
            return "a message is an object"
        if message.get("jsonrpc") != "2.0":
            return 'jsonrpc is not "2.0"'
        if answered is not None:
            return self._answer(message, answered)
        method = message.get("method")
        if not isinstance(method, str):
            return "no method"
        if method in self.requests:
            return self.complaint(_ID, message.get("id"), "id") or self.params(method, message.get("params"))
        if method not in self.notifications:
            return f"{method} is not in the meta model"
        return f"{method} takes no id" if "id" in message else self.params(method, message.get("params"))

    def params(self, method: str, params: Json) -> str | None:
        """The parameters of a request or a notification; None where there are none."""
        known = self.requests.get(method) or self.notifications[method]
        if "params" not in known:
            return None if params is None else f"{method} takes no parameters"
        return self.complaint(known["params"], params, "params")

    def _answer(self, message: Json, method: str) -> str | None:
        """Either a result or an error; only an error may have no id."""
        if ("result" in message) == ("error" in message):
            return "neither or both of result and error"
        if "error" not in message:
            wrong = self.complaint(self.requests[method]["result"], message["result"], "result")
            return wrong or self.complaint(_ID, message.get("id"), "id")
        if "id" not in message:
            return "id: missing"
        if message["id"] is not None and (wrong := self.complaint(_ID, message["id"], "id")):
            return wrong
        return self._error(message["error"], method)

    def _error(self, error: Json, method: str) -> str | None:
        wrong = self.complaint(_ERROR, error, "error")
        data_type = self.requests[method].get("errorData")
        if wrong or data_type is None or error["code"] != SERVER_CANCELLED or "data" not in error:
            return wrong
        return self.complaint(data_type, error["data"], "error.data")

    # -- values ----------------------------------------------------------------------------------------------------

    def complaint(self, type_: Type, value: Json, at: str) -> str | None:
        """What is wrong with a value of this type, and where."""
        match type_["kind"]:
            case "base":
                return None if _BASE[type_["name"]](value) else f"{at}: not a {type_['name']}"
            case "reference":
                return self._reference(type_["name"], value, at)
            case "array":
                return self._array(type_["element"], value, at)
            case "map":
                return self._map(type_, value, at)
            case "or":
                return self._or(type_["items"], value, at)
            case "and":
                return _first(self.complaint(item, value, at) for item in type_["items"])
            case "tuple":
                return self._tuple(type_["items"], value, at)
            case "literal":
                return self._object(type_["value"]["properties"], value, at)
            case "stringLiteral":
                return None if value == type_["value"] else f"{at}: not {type_['value']!r}"
        raise AssertionError(f"the meta model has a kind of type that is not known here: {type_['kind']}")

    def _reference(self, name: str, value: Json, at: str) -> str | None:
        if name == "LSPAny":
            return None  # whatever JSON can say: a number that is no integer is a decimal
        if name == "LSPObject":
            return None if isinstance(value, dict) else f"{at}: not an object"
        if name in self._aliases:
            return self.complaint(self._aliases[name], value, at)
        if name in self._enumerations:
            return self._enumeration(self._enumerations[name], value, at)
        return self._object(self._members_of(name), value, at)

    def _enumeration(self, enumeration: Mapping[str, Any], value: Json, at: str) -> str | None:
        wrong = self.complaint(enumeration["type"], value, at)
        if wrong or enumeration.get("supportsCustomValues"):
            return wrong
        known = any(value == entry["value"] for entry in enumeration["values"])
        return None if known else f"{at}: not a {enumeration['name']}"

    def _array(self, element: Type, value: Json, at: str) -> str | None:
        if not isinstance(value, list):
            return f"{at}: not an array"
        return _first(self.complaint(element, item, f"{at}[{n}]") for n, item in enumerate(value))

    def _tuple(self, items: list[Type], value: Json, at: str) -> str | None:
        if not isinstance(value, list) or len(value) != len(items):
            return f"{at}: not an array of {len(items)}"
        pairs = zip(items, value, strict=True)
        return _first(self.complaint(item, member, f"{at}[{n}]") for n, (item, member) in enumerate(pairs))

    def _map(self, type_: Type, value: Json, at: str) -> str | None:
        """Keys are strings in JSON, whatever the meta model says of them; those that are integers look like one."""
        if not isinstance(value, dict):
            return f"{at}: not an object"
        if type_["key"].get("name") in ("integer", "uinteger"):
            keys = _first(self.complaint(type_["key"], _number(key), f"{at}, key {key}") for key in value)
        else:
            keys = _first(self.complaint(type_["key"], key, f"{at}, key {key}") for key in value)
        return keys or _first(self.complaint(type_["value"], item, f"{at}.{key}") for key, item in value.items())

    def _or(self, items: list[Type], value: Json, at: str) -> str | None:
        complaints = []
        for item in items:
            wrong = self.complaint(item, value, at)
            if wrong is None:
                return None
            complaints.append(wrong)
        return f"{at}: fits nothing of: {'; '.join(complaints)}"

    def _object(self, members: list[Any], value: Json, at: str) -> str | None:
        if not isinstance(value, dict):
            return f"{at}: not an object"
        for member in members:
            name = member["name"]
            if name in value:
                if wrong := self.complaint(member["type"], value[name], f"{at}.{name}"):
                    return wrong
            elif not member.get("optional"):
                return f"{at}.{name}: missing"
        return None

    def _members_of(self, name: str) -> list[Any]:
        """A structure's own members, and those that it extends or mixes in and does not redefine."""
        if name not in self._members:
            structure = self._structures[name]
            members = {
                member["name"]: member
                for parent in (*structure.get("mixins", ()), *structure.get("extends", ()))
                for member in self._members_of(parent["name"])
            }
            members |= {member["name"]: member for member in structure["properties"]}
            self._members[name] = list(members.values())
        return self._members[name]


@functools.cache
def meta_model() -> MetaModel:
    """The official one."""
    return MetaModel(json.loads(PATH.read_text(encoding="utf-8")))


def _first(complaints: Iterable[str | None]) -> str | None:
    return next((wrong for wrong in complaints if wrong), None)


def _number(key: str) -> Json:
    try:
        return int(key)
    except ValueError:
        return key
