"""`gemma-lsp doctor` and `models`: what is wrong is said, with the very line to type."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.backends.llama import Gpu
from gemma_lsp.cli import app, doctor, surroundings
from gemma_lsp.cli.doctor import Check, State, examine
from gemma_lsp.cli.machine import Machine
from gemma_lsp.cli.models import list_models
from gemma_lsp.cli.surroundings import Folder, Surroundings
from gemma_lsp.config.load import Problem, Source, Strength
from gemma_lsp.config.schema import DiagnosticsSettings, ModelSettings, Settings, Switch
from gemma_lsp.models.discover import FoundModel
from gemma_lsp.models.trust import Measured, Trust, judged
from tests.unit.gguf_files import Gguf
from tests.unit.test_cli_machine import CPU, shape

FINE = Surroundings(
    python="3.11.7",
    executable="python3",
    system="Linux x86_64",
    machine=CPU,
    binding="0.3.36",
    build="llama-cpp-python 0.3.36; CPU : AVX2 = 1",
    offloads=False,
    visible_gpu="",
    settings=Settings(),
    settings_file=Path("config.toml"),
    folders=(Folder(what="sockets", path=Path("run"), mode=0o700, writable=True, private=True),),
    command="gemma-lsp",
    found=FoundModel(path=Path("model.gguf"), origin="model.path"),
    shape=shape(),
    editors={"Helix": "hx"},
)


BROKEN = Gguf(metadata={"general.architecture": "llama"})


def actions(seen: Surroundings) -> list[Check]:
    return [check for check in examine(seen) if check.state is State.ACTION]


def test_nothing_to_do_on_a_machine_that_is_fine() -> None:
    """And every part of it is named."""
    assert actions(FINE) == []
    assert {"python", "model", "llama.cpp", "gpu", "context", "settings", "editors"} <= {c.name for c in examine(FINE)}


@pytest.mark.parametrize(
    ("switch", "chat", "trust", "text"),
    [
        ("auto", True, judged(None, 12_000_000_000), "on: 12.0 billion parameters; nobody measured this model"),
        ("auto", True, judged(None, 500_000_000), "off: 0.5 billion parameters, and models under 3 billion"),
        (
            "auto",
            True,
            judged(Measured(threshold=70, precision=0.6, recall=0.2), 1),
            "on: measured here: precision 60%",
        ),
        ("auto", True, judged(Measured(threshold=None, precision=0.1, recall=0.2), 1), "off: measured here: precision"),
        ("auto", False, judged(None, 12_000_000_000), "off: a model without a chat template"),
        ("on", True, judged(None, 500_000_000), "on: diagnostics.enabled; 0.5 billion"),
        ("off", True, judged(None, 12_000_000_000), "off: diagnostics.enabled"),
    ],
)
def test_whether_findings_are_shown_and_why(switch: Switch, chat: bool, trust: Trust, text: str) -> None:
    """And, where a model is not trusted, how to see them all the same."""
    settings = replace(Settings(), diagnostics=DiagnosticsSettings(enabled=switch))
    seen = replace(FINE, settings=settings, trust=trust, shape=replace(shape(), has_chat_template=chat))
    (check,) = (check for check in examine(seen) if check.name == "diagnostics")
    assert check.text.startswith(text)
    assert bool(check.advice) is (switch == "auto" and text.startswith("off"))


@pytest.mark.parametrize(
    ("gpu", "flags"),
    [("nvidia", "-DGGML_CUDA=on"), ("apple", "-DGGML_METAL=on"), ("amd", "-DGGML_VULKAN=on")],
)
def test_a_cpu_only_build_beside_a_gpu_is_built_again(gpu: str, flags: str) -> None:
    """The line is complete: flags, interpreter, the same version, no cached wheel."""
    (check,) = actions(replace(FINE, visible_gpu=gpu))
    assert check.name == "gpu"
    assert check.advice == (
        f'CMAKE_ARGS="{flags}" python3 -m pip install --force-reinstall --no-cache-dir --no-deps '
        "llama-cpp-python==0.3.36",
    )


def test_windows_sets_the_flags_its_own_way() -> None:
    """PowerShell has no VAR=value prefix."""
    (check,) = actions(replace(FINE, visible_gpu="nvidia", system="Windows AMD64"))
    assert check.advice[0] == '$env:CMAKE_ARGS = "-DGGML_CUDA=on"'


def test_a_gpu_build_that_sees_no_gpu_is_another_problem() -> None:
    """Then it is the driver's turn."""
    (check,) = actions(replace(FINE, visible_gpu="nvidia", offloads=True))
    assert "check the driver" in check.text


def test_a_gpu_that_is_used_is_named() -> None:
    """With what is free on it."""
    machine = replace(CPU, gpus=(Gpu("RTX", 16 * 10**9, 0),))
    seen = replace(FINE, visible_gpu="nvidia", offloads=True, machine=machine)
    assert actions(seen) == []
    assert any("RTX (16.0 GB free)" in check.text for check in examine(seen))


def test_a_missing_model_is_an_action() -> None:
    """The reason is that of the search."""
    (check,) = actions(replace(FINE, found=None, shape=None, model_error="no model was found"))
    assert (check.name, check.text) == ("model", "no model was found")
    (check,) = actions(replace(FINE, shape=None, model_error="model.gguf is truncated"))
    assert check.text == "model.gguf is truncated"
    (check,) = actions(replace(FINE, shape=None, model_error="it is truncated"))
    assert check.text == "model.gguf: it is truncated"


def test_a_model_that_does_not_fit_is_an_action() -> None:
    """The memory plan's own words."""
    (check,) = actions(replace(FINE, machine=Machine(ram_available=10**9, ram_total=10**9)))
    assert check.name == "context"
    assert "use a smaller model" in check.text


def test_a_base_model_is_only_a_note() -> None:
    """It works, and its words are worth little."""
    seen = replace(FINE, shape=replace(shape(), has_chat_template=False))
    assert actions(seen) == []
    assert any(check.state is State.NOTE and "Gemma 4 12B" in check.advice[0] for check in examine(seen))


def test_folders_that_others_enter_or_nobody_writes_are_actions() -> None:
    """Only the folder of the sockets must be private."""
    opened = Folder(what="sockets", path=Path("run"), mode=0o755, writable=True, private=True)
    locked = Folder(what="cache", path=Path("cache"), mode=0o555, writable=False)
    shared = Folder(what="models", path=Path("models"), mode=0o755, writable=True)
    found = actions(replace(FINE, folders=(opened, locked, shared)))
    assert [check.name for check in found] == ["sockets", "cache"]
    assert found[0].advice == ("chmod 700 run",)


def test_wrong_settings_are_listed() -> None:
    """Each with its name."""
    problem = Problem(name="model.n_ctxx", origin="config.toml", message="no such setting")
    (check,) = actions(replace(FINE, problems=(problem,)))
    assert check.advice == ("model.n_ctxx: no such setting (config.toml)",)


def test_the_settings_of_the_folder_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count and may be wrong as the user's do, and both files are named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(surroundings, "user_source", lambda: Source(strength=Strength.USER_FILE, origin="none"))
    (check,) = (c for c in examine(surroundings.look("none.gguf")) if c.name == "settings")
    assert (check.state, check.text.endswith("this folder sets nothing")) == (State.OK, True)
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.gemma-lsp.diagnostics]\nenabled = "off"\n[tool.gemma-lsp.model]\npath = "x"\n')
    seen = surroundings.look("none.gguf")
    assert seen.settings.diagnostics.enabled == "off"
    (check,) = (c for c in examine(seen) if c.name == "settings")
    assert check.state is State.ACTION
    assert str(surroundings.user_file()) in check.text
    assert str(path) in check.text
    assert "a repository may not set this" in check.advice[0]


def test_comparing_the_cache_says_what_it_takes_before_it_begins(tmp_path: Path) -> None:
    """Also where there is no terminal to draw on."""
    done = CliRunner().invoke(app, ["doctor", "--cache", "--model", str(BROKEN.write(tmp_path / "broken.gguf"))])
    assert done.exit_code == 1
    assert "reads about 10,000 tokens" in done.stderr


def test_the_exit_code_says_whether_something_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and 1, as text and as JSON; contexts that do not fit say so in the table."""
    monkeypatch.setattr(doctor, "look", lambda model: FINE)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "nothing to do" in done.stdout
    small = replace(FINE, found=None, shape=None, model_error="no model was found")
    monkeypatch.setattr(doctor, "look", lambda model: small)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    checks = json.loads(done.stdout)["checks"]
    assert [check["text"] for check in checks if check["state"] == "action"] == ["no model was found"]


def test_the_memory_table_says_what_does_not_fit() -> None:
    """A row for each length and way of storing the cache; none beyond what the model was trained on."""
    tight = replace(FINE, machine=Machine(ram_available=9 * 10**9, ram_total=16 * 10**9))
    rows = dict(doctor.memory_table(tight))
    assert set(rows) == {f"{n} {t}" for n in ("8,192", "32,768", "131,072", "262,144") for t in ("f16", "q8_0")}
    assert not isinstance(rows["8,192 q8_0"], str)
    assert isinstance(rows["262,144 f16"], str)


def test_looking_around_works_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever it finds; a GPU is seen by its tool on PATH."""
    monkeypatch.setenv("GEMMA_LSP_RUNTIME_DIR", str(tmp_path / "run"))
    seen = surroundings.look(str(tmp_path / "none.gguf"))
    assert "none.gguf" in seen.model_error
    assert (tmp_path / "run").is_dir()
    assert examine(seen)
    monkeypatch.setattr(surroundings.shutil, "which", lambda name: "x" if name == "nvidia-smi" else None)
    assert surroundings.visible_gpu() == "nvidia"


def test_models_are_listed_with_what_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A good file, a broken one, and the one that the settings choose."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path))
    good = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.context_length": 2048,
        "llama.attention.head_count": 4,
    }
    chosen = Gguf(metadata=good).write(tmp_path / "good.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"not a model")
    settings = Settings(model=ModelSettings(path=str(chosen)))
    listed = {model.name: model for model in list_models(settings, CPU) if model.place == "llama.cpp"}
    assert (listed["good.gguf"].n_ctx, listed["good.gguf"].chosen) == (2048, True)
    assert listed["broken.gguf"].problem
    assert not listed["broken.gguf"].chosen
