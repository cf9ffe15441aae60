"""Which context a machine gets, and which engine the settings ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gemma_lsp.backends.llama import Gpu
from gemma_lsp.base.errors import ModelTooLarge
from gemma_lsp.cli import engines
from gemma_lsp.cli.engines import IDLE_ENVIRONMENT, engine_spec, find, settings_for
from gemma_lsp.cli.machine import CPU_MAX_CTX, Machine, plan_for, uses_gpu
from gemma_lsp.config.load import Source, Strength
from gemma_lsp.config.schema import EngineSettings, ModelSettings, Settings
from gemma_lsp.engine.spec import EngineSpec
from gemma_lsp.models.shape import FimTokens, LayerShape, ModelShape

GB = 10**9
SPEC = EngineSpec(model="model.gguf")
CPU = Machine(ram_available=64 * GB, ram_total=64 * GB)
GPU = replace(CPU, gpus=(Gpu("Test GPU", 16 * GB, 16 * GB),))


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    monkeypatch.setattr(engines, "user_source", lambda: Source(strength=Strength.USER_FILE, origin="none"))


def shape(*, weights: int = 7 * GB, n_ctx_train: int = 262_144) -> ModelShape:
    """A model with one full layer to five sliding ones, as Gemma's are."""
    sliding = LayerShape(n_head_kv=8, key_length=256, value_length=256, is_sliding=True)
    full = LayerShape(n_head_kv=1, key_length=512, value_length=512, is_sliding=False)
    layers = (sliding, sliding, sliding, sliding, sliding, full) * 8
    return ModelShape(
        path=Path("model.gguf"),
        file_bytes=weights,
        name="test",
        architecture="test",
        n_layers=len(layers),
        n_embd=3840,
        n_ff=15360,
        n_head=16,
        n_ctx_train=n_ctx_train,
        n_vocab=262_144,
        n_swa=1024,
        layers=layers,
        is_recurrent=False,
        has_chat_template=True,
        fim=FimTokens(),
    )


def test_a_cpu_gets_no_more_than_it_can_fill_unless_asked() -> None:
    """Memory would hold more, patience would not; what the user asks for is what is planned."""
    assert plan_for(SPEC, shape(), CPU).n_ctx == CPU_MAX_CTX
    assert plan_for(replace(SPEC, n_ctx=65_536), shape(), CPU).n_ctx == 65_536
    assert plan_for(SPEC, shape(n_ctx_train=8192), CPU).n_ctx == 8192


def test_a_gpu_gets_all_that_its_memory_holds() -> None:
    """The RAM does not count where all layers are on the GPU."""
    plan = plan_for(SPEC, shape(), GPU)
    assert plan.n_ctx > CPU_MAX_CTX
    assert plan.available_bytes == 16 * GB
    assert plan.total_bytes <= 16 * GB


def test_layers_off_the_gpu_count_the_ram() -> None:
    """None of them: RAM alone, and the CPU's bound; some of them: both."""
    assert not uses_gpu(replace(SPEC, gpu_layers=0), GPU)
    none = plan_for(replace(SPEC, gpu_layers=0), shape(), GPU)
    assert (none.available_bytes, none.n_ctx) == (64 * GB, CPU_MAX_CTX)
    assert plan_for(replace(SPEC, gpu_layers=20), shape(), GPU).available_bytes == 80 * GB


def test_a_gpu_that_does_not_tell_its_memory_is_planned_by_the_ram() -> None:
    """Zero means unknown, not full."""
    unknown = replace(CPU, gpus=(Gpu("GPU", 0, 0),))
    assert plan_for(SPEC, shape(), unknown).available_bytes == 64 * GB


def test_a_model_that_is_too_large_for_the_gpu_says_what_to_do() -> None:
    """The advice about layers is for those who have a GPU."""
    with pytest.raises(ModelTooLarge, match=r"keep layers off the GPU with model\.gpu_layers"):
        plan_for(SPEC, shape(weights=20 * GB), GPU)
    with pytest.raises(ModelTooLarge) as caught:
        plan_for(SPEC, shape(weights=70 * GB), CPU)
    assert "gpu_layers" not in str(caught.value)


def test_the_engine_is_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting of model and engine reaches the process."""
    monkeypatch.delenv(IDLE_ENVIRONMENT, raising=False)
    model = ModelSettings(n_ctx=4096, gpu_layers=3, threads=5, flash_attention="off", kv_type="q8_0", n_batch=64)
    settings = Settings(model=model, engine=EngineSettings(idle_exit_minutes=2, nice=7, snapshot_mb=8))
    assert engine_spec(settings, Path("m.gguf")) == EngineSpec(
        model="m.gguf",
        n_ctx=4096,
        gpu_layers=3,
        threads=5,
        flash_attention="off",
        kv_type="q8_0",
        n_batch=64,
        nice=7,
        snapshot_mb=8,
        idle_exit_s=120.0,
    )


def test_the_environment_decides_how_long_an_idle_engine_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over the setting; zero minutes mean that it stays for good."""
    monkeypatch.delenv(IDLE_ENVIRONMENT, raising=False)
    forever = Settings(engine=EngineSettings(idle_exit_minutes=0))
    assert engine_spec(forever, Path("m")).idle_exit_s > 365 * 24 * 3600
    monkeypatch.setenv(IDLE_ENVIRONMENT, "1.5")
    assert engine_spec(forever, Path("m")).idle_exit_s == 1.5


def test_the_command_line_names_the_model(tmp_path: Path) -> None:
    """`--model` wins over model.path."""
    for name in ("one.gguf", "two.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    settings = Settings(model=ModelSettings(path=str(tmp_path / "one.gguf")))
    assert find(settings).path.name == "one.gguf"
    assert find(settings, str(tmp_path / "two.gguf")).path.name == "two.gguf"


def test_commands_read_the_repository_s_settings(tmp_path: Path) -> None:
    """[tool.gemma-lsp] tunes the index; what a repository may not set is left out."""
    table = '[tool.gemma-lsp]\nindex.budget_tokens = 77\nmodel.path = "evil.gguf"\n'
    (tmp_path / "pyproject.toml").write_text(table)
    settings = settings_for(tmp_path)
    assert settings.index.budget_tokens == 77
    assert settings.model.path == ""
