"""Little-endian reading of a file's head in windows: cheap to skip, and never more in memory than one window.

A plain read rather than a memory map, because a file that shrinks under a map kills the process.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

_WINDOW = 1 << 22
_U64 = struct.Struct("<Q")


class EndOfFile(Exception):
    """The file ends before what was asked for. `position` is where that begins, `wanted` how many bytes it has."""

    def __init__(self, position: int, wanted: int) -> None:
        super().__init__(position, wanted)
        self.position = position
        self.wanted = wanted


class ByteReader:
    """Reads forward. Invariant: `position` never lies beyond the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._base = 0
        self._window = b""
        self._offset = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._base + self._offset

    def scalar(self, layout: struct.Struct) -> Any:
        """One number."""
        return self.scalars(layout)[0]

    def scalars(self, layout: struct.Struct) -> tuple[Any, ...]:
        """All the numbers of a layout."""
        self._need(layout.size)
        values = layout.unpack_from(self._window, self._offset)
        self._offset += layout.size
        return values

    def string(self) -> bytes:
        """A string: its length as 64 bits, then its bytes."""
        length = self.scalar(_U64)
        self._need(length)
        start = self._offset
        self._offset += length
        return self._window[start : self._offset]

    def skip(self, count: int) -> None:
        """Moves on without reading."""
        if self.position + count > self._size:
            raise EndOfFile(self.position, count)
        self._offset += count

    def find_strings(self, count: int, kinds: Mapping[bytes, str]) -> dict[str, int]:
        """Moves over strings; the index of the first of each kind that occurs.

        The one hot loop of reading a header: 262K strings take some 30 ms, and twice that with kinds.
        """
        found: dict[str, int] = {}
        index = 0
        longest = max(map(len, kinds), default=0)
        while index < count:
            self._need(8)
            self._fill(8 + longest)
            index = self._walk(index, count, kinds, found)
        return found

    def _walk(self, index: int, count: int, kinds: Mapping[bytes, str], found: dict[str, int]) -> int:
        """Moves over the strings whose length stands in the window; returns the index of the next one."""
        window, offset, unpack = self._window, self._offset, _U64.unpack_from
        lengths = frozenset(map(len, kinds))
        last = len(window) - 8
        while index < count and offset <= last:
            (length,) = unpack(window, offset)
            if length in lengths:
                if offset + 8 + length > len(window) and offset > self._offset:
                    break  # the window ends inside this string
                if (kind := kinds.get(window[offset + 8 : offset + 8 + length])) is not None:
                    found.setdefault(kind, index)
            offset += 8 + length
            index += 1
        self.skip(offset - self._offset)
        return index

    def _need(self, count: int) -> None:
        """Makes sure of bytes in the window."""
        self._fill(count)
        if self._offset + count > len(self._window):
            raise EndOfFile(self.position, count)

    def _fill(self, count: int) -> None:
        """Reads on if the window holds less than that; at the end of the file there may still be less."""
        if self._offset + count <= len(self._window):
            return
        self._base, self._offset = self.position, 0
        self._file.seek(self._base)
        self._window = self._file.read(min(max(count, _WINDOW), self._size - self._base))
