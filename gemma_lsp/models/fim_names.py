"""The texts by which llama.cpp knows fill-in-the-middle tokens (llama-vocab.cpp); few files declare their ids."""

from __future__ import annotations

from typing import Final

_BAR: Final = "\uff5c"  # DeepSeek writes a full-width bar
_NAMES: Final[dict[str, list[str]]] = {
    "prefix": ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", f"<{_BAR}fim▁begin{_BAR}>"],
    "suffix": ["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", f"<{_BAR}fim▁hole{_BAR}>"],
    "middle": ["<|fim_middle|>", "<fim-middle>", "<fim_middle>", f"<{_BAR}fim▁end{_BAR}>"],
    "repo": ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
    "sep": ["<|file_sep|>"],
}
_SHORT: Final = {
    "prefix": ["<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"],
    "suffix": ["<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"],
    "middle": ["<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"],
}

FIM_KINDS: Final = {
    text.encode(): kind for names in (_NAMES, _SHORT) for kind, texts in names.items() for text in texts
}
"""Which kind of token a text is: prefix, suffix, middle, repo or sep."""
