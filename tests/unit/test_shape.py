"""What a model looks like, from the metadata that llama.cpp reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from gemma_lsp.base.errors import ModelInvalid
from gemma_lsp.models.gguf import GgufHeader, SkippedArray, Value
from gemma_lsp.models.shape import FimTokens, ModelShape, shape_of

BASICS = {
    "block_count": 12,
    "embedding_length": 1024,
    "context_length": 8192,
    "attention.head_count": 8,
    "attention.head_count_kv": 4,
}


def header(
    architecture: str, own: Mapping[str, Value], others: Mapping[str, Value] | None = None, path: Path = Path("m.gguf")
) -> GgufHeader:
    """`own` are the architecture's keys, `others` those of everyone."""
    metadata: dict[str, Value] = {"general.architecture": architecture} if architecture else {}
    metadata |= {f"{architecture}.{key}": value for key, value in own.items()}
    metadata |= others or {}
    return GgufHeader(
        path=path, version=3, metadata=metadata, tensors=(), vocabulary_ids={}, data_offset=0, file_bytes=1000
    )


def shape(architecture: str, **own: Value) -> ModelShape:
    """`attention__x` stands for the key `attention.x`."""
    return shape_of(header(architecture, BASICS | {key.replace("__", "."): value for key, value in own.items()}))


def pattern(model: ModelShape) -> str:
    """One letter a layer: s slides, f is full, - keeps nothing."""
    return "".join("s" if layer.is_sliding else "f" if layer.n_key_values else "-" for layer in model.layers)


@pytest.mark.parametrize(
    ("architecture", "own", "expected"),
    [
        ("llama", {}, "ffffffffffff"),
        ("qwen2", {"attention__sliding_window": 4096}, "ffffffffffff"),
        ("phi3", {"attention__sliding_window": 4096}, "ffffffffffff"),
        ("gemma3", {"attention__sliding_window": 512}, "sssssfsssssf"),
        ("gemma3", {}, "ffffffffffff"),
        ("gemma3", {"attention__sliding_window": 512, "attention__sliding_window_pattern": 3}, "ssfssfssfssf"),
        ("gemma2", {}, "sfsfsfsfsfsf"),
        ("gpt-oss", {"attention__sliding_window": 128}, "sfsfsfsfsfsf"),
        ("smallthinker", {"attention__sliding_window": 4096}, "fsssfsssfsss"),
        (
            "gemma4",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": (True, True, False) * 4},
            "ssfssfssfssf",
        ),
        ("gemma4", {"attention__sliding_window": 512, "attention__sliding_window_pattern": (True,)}, "sfffffffffff"),
    ],
)
def test_sliding_layers_are_those_of_llama_cpp(architecture: str, own: dict[str, Value], expected: str) -> None:
    """A window alone means nothing: the architecture or the file must say which layers have it."""
    assert pattern(shape(architecture, **own)) == expected


@pytest.mark.parametrize(
    ("architecture", "own", "window"),
    [
        ("gemma3", {"attention__sliding_window": 512}, 512),
        ("gemma2", {}, 4096),
        ("llama4", {"attention__sliding_window": 1}, 8192),
        ("llama4", {"attention__sliding_window": 0}, 0),
        ("exaone4", {"attention__sliding_window": 4096}, 0),
        ("llama", {"attention__sliding_window": 4096}, 0),
    ],
)
def test_window_is_the_one_llama_cpp_uses(architecture: str, own: dict[str, Value], window: int) -> None:
    """Some architectures have a window that the file does not say, or ignore the one it says."""
    assert shape(architecture, **own).n_swa == window


def test_heads_and_lengths_differ_between_full_and_sliding_layers() -> None:
    """Gemma 4 gives heads as an array, and sliding layers lengths of their own."""
    model = shape(
        "gemma4",
        attention__head_count_kv=(8, 8, 2) * 4,
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
        attention__sliding_window=1024,
        attention__sliding_window_pattern=(True, True, False) * 4,
    )
    full, sliding = model.full_layers[0], model.sliding_layers[0]
    assert (len(model.full_layers), full.n_key_values, full.n_value_values) == (4, 1024, 1024)
    assert (len(model.sliding_layers), sliding.n_key_values, sliding.n_value_values) == (8, 2048, 2048)


def test_lengths_and_heads_have_defaults() -> None:
    """Without key_length a head has its share of the embedding; without head_count_kv every head has K and V."""
    own = {key: value for key, value in BASICS.items() if key != "attention.head_count_kv"}
    layer = shape_of(header("llama", own)).layers[0]
    assert (layer.n_head_kv, layer.key_length, layer.value_length) == (8, 128, 128)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"attention__shared_kv_layers": 4}, "ffffffff----"),
        ({"nextn_predict_layers": 1}, "fffffffffff-"),
        ({"full_attention_interval": 4}, "---f---f---f"),
        ({"attention__recurrent_layers": (True, True, False) * 4}, "--f--f--f--f"),
        ({"attention__head_count_kv": (0, 4) * 6}, "-f-f-f-f-f-f"),
    ],
)
def test_layers_without_a_cache_cost_nothing(own: dict[str, Value], expected: str) -> None:
    """Layers that share another's cache, predict ahead or are recurrent keep no cells of their own."""
    assert pattern(shape("some", **own)) == expected


def test_latent_attention_keeps_no_values() -> None:
    """MLA stores one latent vector in K; V is a view of it."""
    model = shape("deepseek2", attention__key_length=576, attention__value_length=512, attention__key_length_mla=192)
    assert (model.layers[0].n_key_values, model.layers[0].n_value_values) == (4 * 576, 0)


def test_vocabulary_template_and_name() -> None:
    """The vocabulary's size is the skipped array's length; the name falls back to the file's."""
    plain = shape_of(header("llama", BASICS))
    rich = shape_of(
        header(
            "llama",
            BASICS,
            {
                "general.name": "A Model",
                "tokenizer.ggml.tokens": SkippedArray(length=262144),
                "tokenizer.chat_template": "{{ messages }}",
            },
        )
    )
    assert (plain.name, plain.n_vocab, plain.has_chat_template) == ("m", 0, False)
    assert (rich.name, rich.n_vocab, rich.has_chat_template) == ("A Model", 262144, True)


def test_fim_tokens_by_their_new_and_old_names() -> None:
    """Both spellings that llama.cpp reads are read; without them a model has no fill-in-the-middle."""
    keys = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.suffix_token_id", "tokenizer.ggml.middle_token_id")
    declared: dict[str, Value] = dict(zip(keys, (1, 2, 3), strict=True))
    model = shape_of(header("llama", BASICS, declared))
    assert model.fim == FimTokens(prefix=1, suffix=2, middle=3)
    assert model.fim.is_complete
    assert not shape("llama").fim.is_complete


def test_fim_tokens_by_their_text() -> None:
    """What the file does not declare is taken from its vocabulary; what it declares has precedence."""
    found = dataclasses.replace(
        header("llama", BASICS, {"tokenizer.ggml.fim_pre_token_id": 7}),
        vocabulary_ids={"prefix": 1, "suffix": 2, "middle": 3, "repo": 4, "sep": 5},
    )
    assert shape_of(found).fim == FimTokens(prefix=7, suffix=2, middle=3, repository=4, file_separator=5)


@pytest.mark.parametrize("missing", ["block_count", "embedding_length", "context_length"])
def test_missing_measures_are_reported_by_key(missing: str) -> None:
    """A GGUF that is no language model says which key it lacks."""
    own = {key: value for key, value in BASICS.items() if key != missing}
    with pytest.raises(ModelInvalid, match=f"no usable llama.{missing}"):
        shape_of(header("llama", own))


@pytest.mark.parametrize(
    ("architecture", "general", "words"),
    [
        ("clip", {}, "vision projector"),
        ("gemma4-assistant", {}, "drafter"),
        ("bert", {"bert.attention.causal": False}, "embedding model"),
        ("llama", {"general.type": "adapter"}, "LoRA adapter"),
        ("", {}, "no usable general.architecture"),
    ],
)
def test_files_that_are_no_language_model(architecture: str, general: dict[str, Value], words: str) -> None:
    """Projectors, drafters, adapters and embedding models lie beside models and are taken for them."""
    with pytest.raises(ModelInvalid, match=words):
        shape_of(header(architecture, BASICS, general))


def test_parts_of_a_split_model_count_together(tmp_path: Path) -> None:
    """The first part stands for all; a missing one is named."""
    parts = [tmp_path / f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        part.write_bytes(b"x" * number)
    assert shape_of(header("llama", BASICS, {"split.count": 3}, parts[0])).file_bytes == 6
    parts[2].unlink()
    with pytest.raises(ModelInvalid, match="lacks big-00003-of-00003"):
        shape_of(header("llama", BASICS, {"split.count": 3}, parts[0]))
    with pytest.raises(ModelInvalid, match="give the first"):
        shape_of(header("llama", BASICS, {"split.count": 3}, parts[1]))
