"""Which layers of which architecture see a window only, as llama.cpp decides it (src/models/*.cpp). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gemma_lsp.models.gguf import GgufHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One full layer in `period`, at its end or (`dense_first`) its start; `fixed_window` overrides the file's."""

    period: int
    dense_first: bool = False
    default_window: int = 0
    fixed_window: int = 0
    only_with_layers: int = 0


_RULES: Final[Mapping[str, _Rule]] = {
    "afmoe": _Rule(period=4),
    "cohere2": _Rule(period=4),
    "cohere2moe": _Rule(period=4, dense_first=True),
    "exaone-moe": _Rule(period=4),
    "exaone4": _Rule(period=4, default_window=4096, only_with_layers=64),
    "gemma-embedding": _Rule(period=6),
    "gemma2": _Rule(period=2, default_window=4096),
    "gemma3": _Rule(period=6),
    "gemma3n": _Rule(period=5),
    "gpt-oss": _Rule(period=2),
    "laguna": _Rule(period=4, dense_first=True),
    "llama4": _Rule(period=4, default_window=8192, fixed_window=8192),
    "mellum": _Rule(period=4),
    "muse-glimmer": _Rule(period=4),
    "olmo2": _Rule(period=4),
    "plamo3": _Rule(period=8),
    "smallthinker": _Rule(period=4, dense_first=True, fixed_window=4096),
}
"""Architectures whose pattern may be missing from the file. Of others llama.cpp reads it as an array or not at all."""


def sliding_layers(header: GgufHeader, architecture: str, n_layers: int) -> tuple[int, tuple[bool, ...]]:
    """The window in tokens, and for each layer whether it sees only that; 0 and all False where none slides."""
    rule = _RULES.get(architecture)
    window = header.metadata.get(f"{architecture}.attention.sliding_window", rule.default_window if rule else 0)
    pattern = header.metadata.get(f"{architecture}.attention.sliding_window_pattern")
    none = (0, (False,) * n_layers)
    if not isinstance(window, int) or window < 1 or (rule is None and not isinstance(pattern, tuple)):
        return none
    if rule and rule.only_with_layers not in (0, n_layers):
        return none
    if isinstance(pattern, tuple):
        slides = tuple(bool(item) for item in pattern[:n_layers])
        slides += (False,) * (n_layers - len(slides))
    else:
        assert rule is not None
        slides = _periodic(pattern if isinstance(pattern, int) else rule.period, rule.dense_first, n_layers)
    return ((rule.fixed_window if rule else 0) or window, slides) if any(slides) else none


def _periodic(period: int, dense_first: bool, n_layers: int) -> tuple[bool, ...]:
    if period == 0:
        return (True,) * n_layers
    full = 0 if dense_first else period - 1
    return tuple(layer % period != full for layer in range(n_layers))
