"""What a model looks like, read from its GGUF header: layers, heads, windows, vocabulary, templates.

The keys and defaults are those of llama.cpp (src/llama-model.cpp, src/models/*.cpp at the pinned version).
Nothing here knows how much memory that takes (`memory`) or where the file was found (`discover`).
Any thread may call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gemma_lsp.base.errors import ModelInvalid
from gemma_lsp.models.gguf import GgufHeader, SkippedArray, Value, read_gguf
from gemma_lsp.models.sliding import sliding_layers
from gemma_lsp.models.splits import split_bytes

VOCABULARY: Final = "tokenizer.ggml.tokens"
_NOT_LANGUAGE_MODELS: Final = {
    "adapter": "a LoRA adapter",
    "mmproj": "a vision projector",
    "imatrix": "an importance matrix",
    "vocab": "a vocabulary without weights",
}
_OTHER_ARCHITECTURES: Final = {
    "clip": "a vision projector",
    "dflash": "a drafter",
    "eagle3": "a drafter",
    "gemma-embedding": "an embedding model",
    "gemma4-assistant": "a drafter",
    "llama-embed": "an embedding model",
    "t5encoder": "an embedding model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """What one layer keeps of each token; lengths are values a head, and both are 0 where it keeps nothing."""

    n_head_kv: int
    key_length: int
    value_length: int
    is_sliding: bool

    @property
    def n_key_values(self) -> int:
        """Values of K that a cell of this layer holds."""
        return self.n_head_kv * self.key_length

    @property
    def n_value_values(self) -> int:
        """Values of V that a cell of this layer holds."""
        return self.n_head_kv * self.value_length


@dataclass(frozen=True, slots=True, kw_only=True)
class FimTokens:
    """Ids of the fill-in-the-middle tokens: declared by the file, or found in its vocabulary by their text.

    llama.cpp looks for them in the same way; once a model is loaded, its vocabulary has the last word.
    """

    prefix: int | None = None
    suffix: int | None = None
    middle: int | None = None
    repository: int | None = None
    file_separator: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a prompt can be written with them: prefix, suffix and middle are there."""
        return None not in (self.prefix, self.suffix, self.middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A model's measures. `layers` has one entry a block, in order; `n_swa` is 0 where no layer slides."""

    path: Path
    file_bytes: int
    name: str
    architecture: str
    n_layers: int
    n_embd: int
    n_ff: int
    n_head: int
    n_ctx_train: int
    n_vocab: int
    n_swa: int
    layers: tuple[LayerShape, ...]
    is_recurrent: bool
    has_chat_template: bool
    fim: FimTokens

    @property
    def full_layers(self) -> tuple[LayerShape, ...]:
        """Layers that keep every token."""
        return tuple(layer for layer in self.layers if not layer.is_sliding)

    @property
    def sliding_layers(self) -> tuple[LayerShape, ...]:
        """Layers that keep the last `n_swa` tokens."""
        return tuple(layer for layer in self.layers if layer.is_sliding)


def read_shape(path: Path) -> ModelShape:
    """Reads the measures of the model at `path`; of a split model, give the first part.

    Raises:
        ModelMissing: there is no such file.
        ModelInvalid: it is no readable GGUF of a language model, or a part of it is missing.
    """
    return shape_of(read_gguf(path))


def shape_of(header: GgufHeader) -> ModelShape:
    """The measures of the model whose header this is; raises as `read_shape`."""
    keys = _Keys(header)
    keys.check_is_language_model()
    n_layers, n_embd = keys.required("block_count"), keys.required("embedding_length")
    head_counts = keys.per_layer("attention.head_count", n_layers, 0)
    n_head = max(head_counts, default=0)
    n_swa, sliding = sliding_layers(header, keys.architecture, n_layers)
    return ModelShape(
        path=header.path,
        file_bytes=split_bytes(header),
        name=str(header.metadata.get("general.name") or header.path.stem),
        architecture=keys.architecture,
        n_layers=n_layers,
        n_embd=n_embd,
        n_ff=max(keys.per_layer("feed_forward_length", n_layers, 4 * n_embd), default=0),
        n_head=n_head,
        n_ctx_train=keys.required("context_length"),
        n_vocab=_vocabulary_size(header, keys),
        n_swa=n_swa,
        layers=_layers(keys, head_counts, n_embd // n_head if n_head else 0, sliding),
        is_recurrent=keys.has_any("ssm.", "wkv.", "attention.recurrent_layers", "full_attention_interval"),
        has_chat_template=bool(header.metadata.get("tokenizer.chat_template")),
        fim=_fim_tokens(header),
    )


class _Keys:
    """Typed look-ups of `<architecture>.<key>`."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self.architecture = str(header.metadata.get("general.architecture", ""))

    def check_is_language_model(self) -> None:
        kind = str(self._header.metadata.get("general.type", "model"))
        what = _OTHER_ARCHITECTURES.get(self.architecture) or _NOT_LANGUAGE_MODELS.get(kind)
        if self.value("attention.causal") is False:
            what = "an embedding model"
        if what:
            raise ModelInvalid(f"{self._header.path} is {what}, not a language model; choose another file")
        if not self.architecture:
            raise self._lacks("general.architecture")

    def value(self, key: str) -> Value | None:
        return self._header.metadata.get(f"{self.architecture}.{key}")

    def has_any(self, *starts: str) -> bool:
        prefixes = tuple(f"{self.architecture}.{start}" for start in starts)
        return any(key.startswith(prefixes) for key in self._header.metadata)

    def integer(self, key: str, default: int) -> int:
        value = self.value(key)
        return value if isinstance(value, int) else default

    def required(self, key: str) -> int:
        value = self.value(key)
        if not isinstance(value, int) or value < 1:
            raise self._lacks(f"{self.architecture}.{key}")
        return value

    def per_layer(self, key: str, n_layers: int, default: int) -> tuple[int, ...]:
        """One integer a layer, from an array or from a single value for all."""
        value = self.value(key)
        if isinstance(value, tuple):
            integers = tuple(item if isinstance(item, int) else default for item in value[:n_layers])
            return integers + (default,) * (n_layers - len(integers))
        return (value if isinstance(value, int) else default,) * n_layers

    def _lacks(self, key: str) -> ModelInvalid:
        return ModelInvalid(f"{self._header.path} has no usable {key}: it is no language model; choose another file")


def _layers(
    keys: _Keys, head_counts: tuple[int, ...], head_length: int, sliding: tuple[bool, ...]
) -> tuple[LayerShape, ...]:
    n_layers = len(sliding)
    key_length = keys.integer("attention.key_length", head_length)
    value_length = keys.integer("attention.value_length", head_length)
    key_sliding = keys.integer("attention.key_length_swa", key_length)
    value_sliding = keys.integer("attention.value_length_swa", value_length)
    if keys.has_any("attention.key_length_mla"):  # latent attention keeps V inside K
        value_length = value_sliding = 0
    declares_heads = keys.value("attention.head_count_kv") is not None
    heads = keys.per_layer("attention.head_count_kv", n_layers, 0) if declares_heads else head_counts
    keeps = _layers_with_cache(keys, n_layers)
    return tuple(
        LayerShape(
            n_head_kv=heads[layer],
            key_length=(key_sliding if sliding[layer] else key_length) if keeps[layer] else 0,
            value_length=(value_sliding if sliding[layer] else value_length) if keeps[layer] else 0,
            is_sliding=sliding[layer],
        )
        for layer in range(n_layers)
    )


def _layers_with_cache(keys: _Keys, n_layers: int) -> tuple[bool, ...]:
    """Which layers have cells of their own: not those that share another's, predict ahead, or are recurrent."""
    first_without = n_layers - keys.integer("nextn_predict_layers", 0)
    first_without = min(first_without, n_layers - keys.integer("attention.shared_kv_layers", 0))
    if keys.architecture == "gemma3n":
        first_without = min(first_without, 20)  # fixed in llama.cpp, not in the file
    recurrent = keys.per_layer("attention.recurrent_layers", n_layers, 0)
    interval = keys.integer("full_attention_interval", 0)
    return tuple(
        layer < first_without and not recurrent[layer] and (interval == 0 or (layer + 1) % interval == 0)
        for layer in range(n_layers)
    )


def _vocabulary_size(header: GgufHeader, keys: _Keys) -> int:
    tokens = header.metadata.get(VOCABULARY)
    return tokens.length if isinstance(tokens, SkippedArray) else keys.integer("vocab_size", 0)


def _fim_tokens(header: GgufHeader) -> FimTokens:
    def token(kind: str, *names: str) -> int | None:
        values = (header.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in names)
        return next((value for value in values if isinstance(value, int)), header.vocabulary_ids.get(kind))

    return FimTokens(
        prefix=token("prefix", "fim_pre", "prefix"),  # the last name is the older one
        suffix=token("suffix", "fim_suf", "suffix"),
        middle=token("middle", "fim_mid", "middle"),
        repository=token("repo", "fim_rep"),
        file_separator=token("sep", "fim_sep"),
    )
