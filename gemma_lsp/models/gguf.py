"""The header of a GGUF file (version 2 and 3): metadata and tensor infos, in milliseconds, whatever the file's size.

Big arrays (a vocabulary has 262K strings) are skipped: only their length is kept.
Not here: what the metadata mean (`shape`). Raises `ModelMissing` and `ModelInvalid`, whose words are for the user.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from gemma_lsp.base.errors import ModelInvalid, ModelMissing
from gemma_lsp.models.byte_reader import ByteReader, EndOfFile
from gemma_lsp.models.fim_names import FIM_KINDS
from gemma_lsp.models.tensor_types import tensor_bytes

_SCALARS: Final = {
    type_id: struct.Struct("<" + letter)
    for type_id, letter in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_STRING: Final = 8
_ARRAY: Final = 9
_U32: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<QQ")
_ARRAY_HEAD: Final = struct.Struct("<IQ")

_VOCABULARY: Final = "tokenizer.ggml.tokens"
_READ_ARRAYS_UP_TO = 4096
_MAX_ENTRIES = 1_000_000
_MAX_FILE_BYTES = 1 << 50
_MAX_DIMENSIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedArray:
    """An array that was not read: strings, or too many numbers."""

    length: int


Value: TypeAlias = int | float | bool | str | tuple[int | float | bool, ...] | SkippedArray
"""What a metadata entry may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor. `offset` counts from the start of the data; `n_bytes` is None for a type unknown here."""

    name: str
    dims: tuple[int, ...]
    type_id: int
    offset: int
    n_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF says about itself, and where its tensors' data begin.

    `vocabulary_ids` are fill-in-the-middle tokens found by their text: prefix, suffix, middle, repo, sep.
    """

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    vocabulary_ids: Mapping[str, int]
    data_offset: int
    file_bytes: int


def read_gguf(path: Path) -> GgufHeader:
    """Reads and checks a header, including that the file is long enough for its tensors."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _read(path, ByteReader(file, size), size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelMissing(f"there is no model at {path}; check the path") from error
    except IsADirectoryError as error:
        raise ModelInvalid(f"{path} is a folder; name the .gguf file in it") from error
    except EndOfFile as error:
        raise _truncated(path, size, error.position + error.wanted) from error
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}; check its permissions") from error


def _read(path: Path, reader: ByteReader, size: int) -> GgufHeader:
    version = _version(path, reader, size)
    n_tensors, n_entries = reader.scalars(_HEAD)
    if max(n_tensors, n_entries) > _MAX_ENTRIES:
        raise _damaged(path, f"it claims {max(n_tensors, n_entries)} entries")
    vocabulary_ids: dict[str, int] = {}
    metadata: dict[str, Value] = {}
    for _ in range(n_entries):
        key = _text(reader.string())
        if key in metadata:
            raise _damaged(path, f"the key {key!r} occurs twice")
        metadata[key] = _value(path, reader, FIM_KINDS if key == _VOCABULARY else {}, vocabulary_ids)
    tensors = tuple(_tensor(path, reader) for _ in range(n_tensors))
    data_offset = _aligned(path, reader.position, metadata.get("general.alignment", 32))
    _check_data(path, size, data_offset, tensors)
    return GgufHeader(
        path=path,
        version=version,
        metadata=metadata,
        tensors=tensors,
        vocabulary_ids=vocabulary_ids,
        data_offset=data_offset,
        file_bytes=size,
    )


def _version(path: Path, reader: ByteReader, size: int) -> int:
    if size < 4:
        raise ModelInvalid(f"{path} is not a GGUF file: it holds {size} bytes; download it again")
    magic: int = reader.scalar(_U32)
    if magic != int.from_bytes(b"GGUF", "little"):
        raise ModelInvalid(f"{path} is not a GGUF file; {_what_instead(magic)}")
    version: int = reader.scalar(_U32)
    if version in (2, 3):
        return version
    if version in (2 << 24, 3 << 24):
        raise ModelInvalid(
            f"{path} is a big-endian GGUF, which this machine cannot run; get the usual little-endian one"
        )
    raise ModelInvalid(
        f"{path} is a GGUF of version {version}; only 2 and 3 are known, so convert or download it again"
    )


def _what_instead(magic: int) -> str:
    head = magic.to_bytes(4, "little")
    if head == b"vers":
        return "it looks like a Git LFS pointer, so fetch the file itself with `git lfs pull`"
    if head.lstrip()[:1] == b"<":
        return "it looks like a web page, so download the file itself"
    if head[:2] == b"PK" or head[1:] == b"\0\0\0":
        return "it looks like PyTorch or safetensors weights, so get the model's GGUF version"
    return "give the path of a .gguf file"


def _value(path: Path, reader: ByteReader, kinds: Mapping[bytes, str], found: dict[str, int]) -> Value:
    type_id = reader.scalar(_U32)
    if type_id == _STRING:
        return _text(reader.string())
    if type_id != _ARRAY:
        return _scalar(path, reader, type_id)
    item_type, length = reader.scalars(_ARRAY_HEAD)
    if item_type == _STRING:
        found |= reader.find_strings(length, kinds)
        return SkippedArray(length=length)
    layout = _scalar_layout(path, item_type)
    if length > _READ_ARRAYS_UP_TO:
        reader.skip(length * layout.size)
        return SkippedArray(length=length)
    return tuple(reader.scalar(layout) for _ in range(length))


def _scalar(path: Path, reader: ByteReader, type_id: int) -> int | float | bool:
    value: int | float | bool = reader.scalar(_scalar_layout(path, type_id))
    return value


def _tensor(path: Path, reader: ByteReader) -> TensorInfo:
    name = _text(reader.string())
    n_dims = reader.scalar(_U32)
    if n_dims > _MAX_DIMENSIONS:
        raise _damaged(path, f"the tensor {name!r} claims {n_dims} dimensions")
    dims = reader.scalars(struct.Struct(f"<{n_dims}Q"))
    type_id, offset = reader.scalars(_ARRAY_HEAD)
    return TensorInfo(name=name, dims=dims, type_id=type_id, offset=offset, n_bytes=tensor_bytes(type_id, dims))


def _check_data(path: Path, size: int, data_offset: int, tensors: tuple[TensorInfo, ...]) -> None:
    end = max((tensor.offset + (tensor.n_bytes or 0) for tensor in tensors), default=0)
    if tensors and data_offset + end > size:
        raise _truncated(path, size, data_offset + end)


def _scalar_layout(path: Path, type_id: int) -> struct.Struct:
    if type_id not in _SCALARS:
        raise _damaged(path, f"it holds a value of the unknown type {type_id}")
    return _SCALARS[type_id]


def _aligned(path: Path, position: int, alignment: object) -> int:
    if not isinstance(alignment, int) or alignment < 1:
        raise _damaged(path, f"its alignment is {alignment!r}")
    return -(-position // alignment) * alignment


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _truncated(path: Path, size: int, wanted: int) -> ModelInvalid:
    if wanted > _MAX_FILE_BYTES:
        return _damaged(path, "it claims more than a petabyte")
    return ModelInvalid(f"{path} is truncated: it holds {size} bytes of at least {wanted}; download it again")


def _damaged(path: Path, reason: str) -> ModelInvalid:
    return ModelInvalid(f"{path} is damaged: {reason}; download it again")
