"""Writes small GGUF files for tests, independently of the reader: plain struct packing after the specification."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLOAT, BOOL, STRING, ARRAY, U32, U64, I32 = 6, 7, 8, 9, 4, 10, 5
_LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of f32 values, all zero."""

    name: str = "token_embd.weight"
    dims: tuple[int, ...] = (4, 8)
    type_id: int = 0
    n_bytes: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Gguf:
    """What to write; `metadata` values are written by their Python type unless they are (type, value) pairs."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: Sequence[Tensor] = (Tensor(),)
    version: int = 3
    magic: bytes = b"GGUF"

    def header(self) -> bytes:
        """The bytes before the tensors' data, not yet padded."""
        parts = [self.magic, struct.pack("<IQQ", self.version, len(self.tensors), len(self.metadata))]
        parts += [text(key) + entry(value) for key, value in self.metadata.items()]
        offset = 0
        for tensor in self.tensors:
            parts.append(text(tensor.name) + struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims))
            parts.append(struct.pack("<IQ", tensor.type_id, offset))
            offset += padded(tensor.n_bytes)
        return b"".join(parts)

    def data(self) -> bytes:
        """The whole file."""
        body = b"".join(bytes(padded(tensor.n_bytes)) for tensor in self.tensors[:-1])
        body += bytes(self.tensors[-1].n_bytes) if self.tensors else b""
        return self.header().ljust(padded(len(self.header())), b"\0") + body

    def write(self, path: Path) -> Path:
        """Writes the file and returns its path."""
        path.write_bytes(self.data())
        return path


def padded(length: int) -> int:
    """To the default alignment."""
    return -(-length // 32) * 32


def text(value: str | bytes) -> bytes:
    """A string with its length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(value: Any) -> bytes:
    """The type and the value of one metadata entry."""
    type_id, value = typed(value)
    if type_id != ARRAY:
        return struct.pack("<I", type_id) + plain(type_id, value)
    item_type = typed(value[0])[0] if value else U32
    return struct.pack("<IIQ", ARRAY, item_type, len(value)) + b"".join(plain(item_type, item) for item in value)


def typed(value: Any) -> tuple[int, Any]:
    """The type that a Python value is written as."""
    if isinstance(value, tuple):
        return value
    kinds = {bool: BOOL, int: U32, float: FLOAT, str: STRING, bytes: STRING, list: ARRAY}
    return kinds[type(value)], value


def plain(type_id: int, value: Any) -> bytes:
    """One value without its type."""
    return text(value) if type_id == STRING else struct.pack("<" + _LETTERS[type_id], value)
