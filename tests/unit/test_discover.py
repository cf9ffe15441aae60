"""Which model is taken: what is named, what other tools keep, what is passed over, and the default at last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemma_lsp.base.errors import ModelMissing
from gemma_lsp.models import discover, places
from gemma_lsp.models.discover import Search, candidates, find_model
from tests.unit.gguf_files import Gguf

MODEL = Gguf(
    metadata={
        "general.architecture": "gemma3",
        "gemma3.context_length": 8192,
        "gemma3.embedding_length": 64,
        "gemma3.block_count": 2,
        "gemma3.attention.head_count": 2,
        "gemma3.attention.head_count_kv": 1,
        "gemma3.feed_forward_length": 128,
        "tokenizer.ggml.tokens": ["a", "b"],
    }
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: an empty home, no default model, and no folder outside it."""
    monkeypatch.setattr(places, "own_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(discover, "default_model", no_default)
    return tmp_path


def no_default() -> Path:
    """The extra is not installed."""
    raise ModelMissing("the default model is not installed; do this")


def search(home: Path, **environ: str) -> Search:
    """A search on that machine; Ollama's folder is set, because its other place is outside the home."""
    return Search(home=home, environ={"OLLAMA_MODELS": str(home / "ollama")} | environ)


def put(path: Path, data: bytes | None = None, padding: int = 0) -> Path:
    """A model, or anything else, at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((MODEL.data() if data is None else data) + bytes(padding))
    return path


def put_ollama(home: Path, name: str, digest: str = "sha256:abc") -> Path:
    """A model as Ollama keeps it."""
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:def"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    manifest = home / "ollama" / "manifests" / "registry.example" / "library" / name
    put(manifest, json.dumps({"layers": layers}).encode())
    return put(home / "ollama" / "blobs" / digest.replace(":", "-"))


def test_a_named_model_is_taken_as_it_is(home: Path) -> None:
    """The setting first, then the environment; it is not opened here."""
    named, other = put(home / "a.gguf", b"anything"), put(home / "b.gguf", b"anything")
    found = find_model(Search(model_path=str(named), environ={"GEMMA_LSP_MODEL": str(other)}, home=home))
    assert (found.path, found.origin) == (named, "model.path")
    found = find_model(search(home, GEMMA_LSP_MODEL=str(other)))
    assert (found.path, found.origin) == (other, "GEMMA_LSP_MODEL")


def test_a_named_model_that_is_not_there_is_an_error_and_not_another_model(home: Path) -> None:
    """What the user asked for is never replaced silently."""
    put(home / "own" / "m.gguf")
    with pytest.raises(ModelMissing, match=r"^model.path names .*, which is not there; correct it, or remove it"):
        find_model(Search(model_path=str(home / "none.gguf"), environ={}, home=home))
    with pytest.raises(ModelMissing, match=r"^GEMMA_LSP_MODEL names the folder .*; name the .gguf file in it"):
        find_model(search(home, GEMMA_LSP_MODEL=str(home)))


@pytest.mark.parametrize(
    ("path", "environ", "origin"),
    [
        ("own/m.gguf", {}, "m.gguf of gemma-lsp"),
        (".cache/huggingface/hub/models--x--y/snapshots/1/m.gguf", {}, "m.gguf of Hugging Face"),
        (".cache/huggingface/hub/models--x--y/snapshots/1/q4/m.gguf", {}, "m.gguf of Hugging Face"),
        ("hf/hub/models--x--y/snapshots/1/m.gguf", {"HF_HOME": "hf"}, "m.gguf of Hugging Face"),
        ("hub/models--x--y/snapshots/1/m.gguf", {"HF_HUB_CACHE": "hub"}, "m.gguf of Hugging Face"),
        ("xdg/huggingface/hub/models--x--y/snapshots/1/m.gguf", {"XDG_CACHE_HOME": "xdg"}, "m.gguf of Hugging Face"),
        ("llama/m.gguf", {"LLAMA_CACHE": "llama"}, "m.gguf of llama.cpp"),
        (".lmstudio/models/x/y/m.gguf", {}, "m.gguf of LM Studio"),
        (".cache/lm-studio/models/x/y/m.gguf", {}, "m.gguf of LM Studio"),
    ],
)
def test_the_folders_of_other_tools_are_looked_into(
    home: Path, path: str, environ: dict[str, str], origin: str
) -> None:
    """Where each keeps its models, and the variables that move it."""
    model = put(home / path)
    found = find_model(search(home, **{name: str(home / value) for name, value in environ.items()}))
    assert (found.path, found.origin) == (model, origin)


def test_ollama_models_are_found_by_their_manifests(home: Path) -> None:
    """The blob has no name of its own."""
    blob = put_ollama(home, "gemma3/270m")
    found = find_model(search(home))
    assert (found.path, found.origin) == (blob, "gemma3:270m of Ollama")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"layers": 3}', b'{"layers": [{}]}', b"\xff"])
def test_a_damaged_manifest_is_no_model(home: Path, text: bytes) -> None:
    """Someone else's files may be in any state."""
    put(home / "ollama/manifests/registry.example/library/m/latest", text)
    assert list(candidates(search(home))) == []


def test_a_manifest_cannot_point_outside_its_folder(home: Path) -> None:
    """Its digest is a file name and nothing else."""
    put(home / "outside")
    put_ollama(home, "m/latest", "sha256:abc")
    manifest = home / "ollama/manifests/registry.example/library/m/latest"
    manifest.write_text(manifest.read_text().replace("sha256:abc", "../../outside"))
    assert list(candidates(search(home))) == []


def test_our_folder_comes_first_then_gemma_then_the_larger(home: Path) -> None:
    """A file that the user gave to gemma-lsp beats a better one elsewhere."""
    put(home / "own/other.gguf")
    lm = home / ".lmstudio/models/x/y"
    for name, padding in {"llama-70b": 900, "gemma-3-4b": 50, "gemma-3-12b": 80, "gemma-4-12b": 10}.items():
        put(lm / f"{name}.gguf", padding=padding)
    names = [file.name for file in candidates(search(home))]
    assert names == ["other.gguf", "gemma-4-12b.gguf", "gemma-3-12b.gguf", "gemma-3-4b.gguf", "llama-70b.gguf"]


def test_companions_and_later_parts_are_passed_over(home: Path) -> None:
    """Projectors, drafters, embedding models, and all but the first file of a split model."""
    names = ["mmproj-m", "gemma4-assistant", "m.imatrix", "m-draft", "embeddinggemma", "m-00002-of-00003"]
    for name in names:
        put(home / "own" / f"{name}.gguf")
    assert list(candidates(search(home))) == []


def test_what_cannot_be_used_is_passed_over(home: Path) -> None:
    """A download that was cut off, a page, and a file that is too large for this machine."""
    put(home / "own/gemma-4-a.gguf", MODEL.data()[:-1])
    put(home / "own/gemma-4-b.gguf", b"<html>")
    put(home / "own/gemma-4-c.gguf", padding=100_000)
    model = put(home / "own/other.gguf")
    looked = search(home)
    limited = Search(home=home, environ=looked.environ, max_bytes=50_000)
    assert find_model(limited).path == model
    assert find_model(looked).path.name == "gemma-4-c.gguf"


def test_the_default_model_is_the_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put together when it is needed, not before."""
    monkeypatch.setattr(discover, "default_model", lambda: home / "default.gguf")
    assert find_model(search(home)).origin == "the default model"
    put(home / "own/m.gguf")
    monkeypatch.setattr(discover, "default_model", lambda: pytest.fail("not needed"))
    assert find_model(search(home)).path == home / "own/m.gguf"


def test_without_any_model_the_message_says_what_to_do(home: Path) -> None:
    """And that other places were looked at."""
    with pytest.raises(ModelMissing) as caught:
        find_model(search(home))
    assert str(caught.value) == ("no model was found on this machine, and the default model is not installed; do this")
