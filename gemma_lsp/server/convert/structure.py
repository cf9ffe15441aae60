"""From JSON to lsprotocol's types: pygls's converter, made to mind the range of every integer. Pure.

lsprotocol checks an integer that stands alone, but takes any in `integer | string` and `integer | null`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

from cattrs import Converter
from pygls.protocol import default_converter

_MIN, _MAX = -(2**31), 2**31 - 1


def make_converter() -> Converter:
    """A converter of one session."""
    make: Callable[[], Converter] = default_converter  # which says nothing of its type
    converter = make()
    converter.register_structure_hook(Optional[int], _integer_or_null)  # noqa: UP045 - as lsprotocol spells it
    for type_ in (Union[int, str], Optional[Union[int, str]]):  # noqa: UP007, UP045
        converter.register_structure_hook(type_, _integer_or_string)
    return converter


def _integer_or_null(value: Any, _type: Any) -> int | None:
    return None if value is None else _integer(value)


def _integer_or_string(value: Any, _type: Any) -> int | str | None:
    return value if value is None or isinstance(value, str) else _integer(value)


def _integer(value: Any) -> int:
    number = int(value)
    if not _MIN <= number <= _MAX:
        raise ValueError("the integer is out of range")
    return number
