"""One value against one setting: what is accepted, and the words for what is not."""

from __future__ import annotations

import json
from typing import Any

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.config.catalog import SettingInfo


def read_value(info: SettingInfo, value: object) -> Any:
    """The value in the setting's own type. Raises `ConfigError` that says what was expected."""
    accepted, result = _READERS[info.kind](info, value)
    if not accepted:
        raise ConfigError(f"expected {expected(info)}, got {_show(value)}")
    return result


def expected(info: SettingInfo) -> str:
    """What a setting takes, in words."""
    if info.kind == "choice":
        return "one of " + ", ".join(f'"{choice}"' for choice in info.choices)
    if info.kind == "integer":
        return f"a whole number from {info.minimum} to {info.maximum}"
    return {"text": "a text", "switch": "true or false", "list": "a list of texts"}[info.kind]


def _integer(info: SettingInfo, value: object) -> tuple[bool, Any]:
    if isinstance(value, float) and value.is_integer():  # Lua and JavaScript clients write 64.0
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return False, None
    low = info.minimum is None or value >= info.minimum
    return low and (info.maximum is None or value <= info.maximum), value


def _text(_: SettingInfo, value: object) -> tuple[bool, Any]:
    return isinstance(value, str) and "\0" not in value, value


def _switch(_: SettingInfo, value: object) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _choice(info: SettingInfo, value: object) -> tuple[bool, Any]:
    return isinstance(value, str) and value in info.choices, value


def _list(_: SettingInfo, value: object) -> tuple[bool, Any]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        return False, None
    return True, tuple(value)


def _show(value: object) -> str:
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return shown if len(shown) <= 60 else shown[:57] + "..."


_READERS = {"text": _text, "integer": _integer, "switch": _switch, "choice": _choice, "list": _list}
