"""The GGUF header reader: what it reads, what it skips, and files that are cut off, damaged or something else."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemma_lsp.base.errors import ModelInvalid, ModelMissing
from gemma_lsp.models import byte_reader
from gemma_lsp.models.gguf import SkippedArray, read_gguf
from gemma_lsp.models.tensor_types import tensor_bytes
from tests.unit.gguf_files import BOOL, FLOAT, STRING, Gguf, Tensor, entry, text

SMALL = Gguf(
    metadata={
        "general.architecture": "gemma3",
        "gemma3.block_count": 18,
        "gemma3.rope.freq_base": 1e6,
        "gemma3.attention.sliding_window_pattern": [True, True, False],
        "tokenizer.ggml.tokens": ["<pad>", "a", "<fim_prefix>", "b", "<fim_suffix>", "<fim_middle>", "<fim_prefix>"],
        "tokenizer.ggml.add_bos_token": True,
    },
    tensors=(Tensor(name="a", n_bytes=128), Tensor(name="b", dims=(256, 2), type_id=12, n_bytes=288)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its file."""
    return tmp_path / "model.gguf"


def message(path: Path) -> str:
    """What the user is told about a file that cannot be used, without its path."""
    with pytest.raises(ModelInvalid) as caught:
        read_gguf(path)
    return str(caught.value).removeprefix(f"{path} ")


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_and_tensors_are_read(path: Path, version: int) -> None:
    """Both versions have the same layout."""
    header = read_gguf(Gguf(metadata=SMALL.metadata, tensors=SMALL.tensors, version=version).write(path))
    assert header.version == version
    assert header.metadata == {
        "general.architecture": "gemma3",
        "gemma3.block_count": 18,
        "gemma3.rope.freq_base": 1e6,
        "gemma3.attention.sliding_window_pattern": (True, True, False),
        "tokenizer.ggml.tokens": SkippedArray(length=7),
        "tokenizer.ggml.add_bos_token": True,
    }
    assert [(t.name, t.dims, t.type_id, t.offset, t.n_bytes) for t in header.tensors] == [
        ("a", (4, 8), 0, 0, 128),
        ("b", (256, 2), 12, 128, 288),
    ]
    assert header.data_offset + 128 + 288 == header.file_bytes == len(SMALL.data())


def test_fill_in_the_middle_tokens_are_found_by_their_text(path: Path) -> None:
    """The first of a kind counts, as its id; Qwen and Granite declare none of them otherwise."""
    assert read_gguf(SMALL.write(path)).vocabulary_ids == {"prefix": 2, "suffix": 4, "middle": 5}


def test_only_the_vocabulary_is_searched_for_them(path: Path) -> None:
    """A merge or a tag of the same text is no token."""
    assert read_gguf(Gguf(metadata={"general.tags": ["<fim_prefix>"]}).write(path)).vocabulary_ids == {}


@pytest.mark.parametrize(("length", "read"), [(4096, True), (4097, False)])
def test_small_arrays_are_read_and_big_ones_skipped(path: Path, length: int, read: bool) -> None:
    """Whatever follows is read all the same."""
    header = read_gguf(Gguf(metadata={"array": [7] * length, "after": 1}).write(path))
    assert header.metadata == {"array": (7,) * length if read else SkippedArray(length=length), "after": 1}


def test_a_vocabulary_larger_than_a_window_is_walked_to_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows end anywhere: inside a length, inside a string that is wanted, and at its end."""
    tokens = ["x" * n for n in range(40)] + ["<fim_prefix>", "<|file_sep|>", "", "<fim_suffix>"]
    whole = read_gguf(Gguf(metadata={"tokenizer.ggml.tokens": tokens, "after": "end"}).write(path))
    for window in range(1, 200):
        monkeypatch.setattr(byte_reader, "_WINDOW", window)
        assert read_gguf(path) == whole
    assert whole.vocabulary_ids == {"prefix": 40, "sep": 41, "suffix": 43}
    assert whole.metadata["after"] == "end"


def test_a_file_cut_off_anywhere_says_so(path: Path) -> None:
    """At every byte: from the first of the magic to the last of the data."""
    whole = SMALL.data()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        said = message(path)
        assert said.startswith("is not a GGUF file: it holds" if length < 4 else "is truncated: it holds"), length
        assert said.endswith("download it again")


def test_a_file_longer_than_its_tensors_is_fine(path: Path) -> None:
    """Some writers pad the end."""
    path.write_bytes(SMALL.data() + bytes(64))
    assert len(read_gguf(path).tensors) == 2


def test_a_header_without_tensors_is_complete(path: Path) -> None:
    """Vocabulary-only files have no data section, not even its padding."""
    path.write_bytes(Gguf(metadata={"a": 1}, tensors=()).header())
    assert read_gguf(path).tensors == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"<!doctype html><html>", "a web page"),
        (b"PK\x03\x04 and the rest", "get the model's GGUF version"),
        (b"\x10\0\0\0\0\0\0\0{}", "get the model's GGUF version"),
        (b"print('hello')", "give the path of a .gguf file"),
    ],
)
def test_something_else_is_named(path: Path, data: bytes, words: str) -> None:
    """What people have at the path by mistake."""
    path.write_bytes(data)
    said = message(path)
    assert said.startswith("is not a GGUF file; ")
    assert words in said


@pytest.mark.parametrize(
    ("version", "words"), [(1, "a GGUF of version 1;"), (4, "a GGUF of version 4;"), (3 << 24, "a big-endian GGUF")]
)
def test_an_unknown_version_is_named(path: Path, version: int, words: str) -> None:
    """Not taken for damage."""
    assert words in message(Gguf(version=version).write(path))


def raw(*entries: bytes, n_entries: int | None = None, n_tensors: int = 0) -> bytes:
    """A header of raw entries."""
    count = len(entries) if n_entries is None else n_entries
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, count) + b"".join(entries)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw(text("a") + entry(1), text("a") + entry(2)), "the key 'a' occurs twice"),
        (raw(text("a") + struct.pack("<I", 13)), "unknown type 13"),
        (raw(text("a") + struct.pack("<IIQ", 9, 9, 1)), "unknown type 9"),
        (raw(n_entries=1 << 40), "it claims 1099511627776 entries"),
        (raw(n_tensors=1 << 40), "it claims 1099511627776 entries"),
        (raw(text("general.alignment") + entry(0)), "its alignment is 0"),
        (raw(text("general.alignment") + entry("x")), "its alignment is 'x'"),
        (raw(text("t") + struct.pack("<I", 99), n_entries=0, n_tensors=1), "'t' claims 99 dimensions"),
        (raw(struct.pack("<Q", (1 << 64) - 1)), "more than a petabyte"),
        (raw(text("a") + struct.pack("<IIQ", 9, 8, 1) + struct.pack("<Q", (1 << 64) - 1)), "more than a petabyte"),
    ],
)
def test_damage_is_named(path: Path, data: bytes, words: str) -> None:
    """A wrong number must not become a long wait or a traceback."""
    path.write_bytes(data)
    said = message(path)
    assert said.startswith("is damaged: ")
    assert words in said


def test_a_path_that_is_not_there_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    """The first is a missing model, the second one that cannot be used."""
    with pytest.raises(ModelMissing, match="check the path"):
        read_gguf(tmp_path / "none.gguf")
    assert message(tmp_path) == "is a folder; name the .gguf file in it"


def test_a_tensor_of_an_unknown_type_does_not_spoil_the_file(path: Path) -> None:
    """A newer llama.cpp may know it; its size is not checked."""
    header = read_gguf(Gguf(tensors=(Tensor(type_id=77, n_bytes=0),)).write(path))
    assert [tensor.n_bytes for tensor in header.tensors] == [None]


@pytest.mark.parametrize(
    ("type_id", "dims", "n_bytes"),
    [(0, (4, 8), 128), (1, (3,), 6), (12, (256, 10), 1440), (8, (64,), 68), (30, (), 2), (4, (1,), None)],
)
def test_tensor_sizes(type_id: int, dims: tuple[int, ...], n_bytes: int | None) -> None:
    """Blocks of the quantised types, single values of the others, none for removed types."""
    assert tensor_bytes(type_id, dims) == n_bytes


scalars = st.integers(0, 2**32 - 1) | st.booleans() | st.text(max_size=8) | st.floats(width=32, allow_nan=False)
values = scalars | st.lists(st.integers(0, 9), max_size=4) | st.lists(st.text(max_size=4), min_size=1, max_size=4)
FILE_PER_EXAMPLE = [HealthCheck.function_scoped_fixture]


def expected(value: Any) -> Any:
    """What the reader makes of a written value."""
    if isinstance(value, list):
        return SkippedArray(length=len(value)) if value and isinstance(value[0], str) else tuple(value)
    return value


@settings(suppress_health_check=FILE_PER_EXAMPLE, deadline=None)
@given(metadata=st.dictionaries(st.text(max_size=8).filter(lambda key: key != "general.alignment"), values, max_size=6))
def test_whatever_is_written_is_read_back(path: Path, metadata: dict[str, Any]) -> None:
    """Any keys, in any order, of any type."""
    header = read_gguf(Gguf(metadata=metadata).write(path))
    assert header.metadata == {key: expected(value) for key, value in metadata.items()}


@settings(suppress_health_check=FILE_PER_EXAMPLE, deadline=None)
@given(position=st.integers(0, len(SMALL.data()) - 1), byte=st.integers(0, 255))
def test_a_wrong_byte_is_read_or_refused_but_never_an_accident(path: Path, position: int, byte: int) -> None:
    """Nothing but `ModelInvalid` comes out of a damaged file."""
    data = bytearray(SMALL.data())
    data[position] = byte
    path.write_bytes(data)
    with contextlib.suppress(ModelInvalid):
        assert read_gguf(path).file_bytes == len(data)


def test_the_writer_of_these_tests_writes_the_types_it_names() -> None:
    """Bool before int, because a Python bool is both."""
    assert [entry(value)[0] for value in (True, 1.0, "a")] == [BOOL, FLOAT, STRING]
