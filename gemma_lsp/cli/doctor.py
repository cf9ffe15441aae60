"""`gemma-lsp doctor`: is everything as it should be, and if not, what exactly to do. Judges `surroundings`; pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from rich.markup import escape

from gemma_lsp.base.errors import ModelError
from gemma_lsp.cli import console
from gemma_lsp.cli.engines import engine_spec
from gemma_lsp.cli.machine import CPU_MAX_CTX, plan_for, uses_gpu
from gemma_lsp.cli.surroundings import Surroundings, look
from gemma_lsp.models.memory import MemoryPlan

_CONTEXTS = (8_192, 32_768, 131_072, 262_144)


class State(StrEnum):
    """How a check came out; only ACTION makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    ACTION = "action"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding, with the lines to type or to read if something is to be done."""

    name: str
    state: State
    text: str
    advice: tuple[str, ...] = ()


def run_doctor(model: str, *, as_json: bool) -> int:
    """Prints what was found; the exit code."""
    seen = look(model)
    checks = examine(seen)
    table = memory_table(seen)
    if as_json:
        console.print_json({"checks": [asdict(check) for check in checks], "memory": [_plan_json(p) for p in table]})
    else:
        _print(checks, table)
    return int(any(check.state is State.ACTION for check in checks))


def examine(seen: Surroundings) -> list[Check]:
    """Every check, in the order in which they are shown."""
    parts: tuple[Callable[[Surroundings], list[Check]], ...] = (
        _python,
        _model,
        _diagnostics,
        _llama,
        _gpu,
        _memory,
        _folders,
        _settings,
        _editors,
    )
    return [check for part in parts for check in part(seen)]


def memory_table(seen: Surroundings) -> list[tuple[str, MemoryPlan | str]]:
    """What contexts of some lengths take, by the way the cache is stored; a text says why one does not fit."""
    if seen.shape is None or seen.found is None:
        return []
    spec = engine_spec(seen.settings, seen.found.path)
    rows: list[tuple[str, MemoryPlan | str]] = []
    for kv_type in ("f16", "q8_0"):
        for n_ctx in sorted({min(n, seen.shape.n_ctx_train) for n in _CONTEXTS}):
            try:
                plan: MemoryPlan | str = plan_for(replace(spec, n_ctx=n_ctx, kv_type=kv_type), seen.shape, seen.machine)
            except ModelError as error:
                plan = str(error)
            rows.append((f"{n_ctx:,} {kv_type}", plan))
    return rows


def reinstall(seen: Surroundings, flags: str) -> tuple[str, ...]:
    """The lines that build llama.cpp for another device."""
    pip = f"-m pip install --force-reinstall --no-cache-dir --no-deps llama-cpp-python=={seen.binding}"
    if seen.system.startswith("Windows"):
        return (f'$env:CMAKE_ARGS = "{flags}"', f'& "{seen.executable}" {pip}')
    return (f'CMAKE_ARGS="{flags}" {seen.executable} {pip}',)


def _python(seen: Surroundings) -> list[Check]:
    text = f"{seen.python} on {seen.system}, {seen.executable}"
    ram = f"{console.size(seen.machine.ram_available)} of {console.size(seen.machine.ram_total)} free"
    return [
        Check(name="python", state=State.OK, text=text),
        Check(name="memory", state=State.OK, text=ram),
    ]


def _model(seen: Surroundings) -> list[Check]:
    if seen.shape is None or seen.found is None:
        path = str(seen.found.path) if seen.found else ""
        where = f"{path}: " if path not in seen.model_error else ""
        advice = ("`gemma-lsp models` lists what is on this machine",)
        return [Check(name="model", state=State.ACTION, text=f"{where}{seen.model_error}", advice=advice)]
    shape = seen.shape
    window = f", windows of {shape.n_swa:,} tokens in {len(shape.sliding_layers)} of them" if shape.n_swa else ""
    lines = (
        f"{shape.architecture}, {shape.n_layers} layers{window}, trained on {shape.n_ctx_train:,} tokens",
        "chat template: yes" if shape.has_chat_template else "chat template: none, so it is asked with documents",
        f"fill-in-the-middle tokens: {'yes' if shape.fim.is_complete else 'none'}",
    )
    checks = [
        Check(
            name="model",
            state=State.OK,
            text=f"{shape.name}, {console.size(shape.file_bytes)}, from {seen.found.origin}: {seen.found.path}",
            advice=lines,
        )
    ]
    if not shape.has_chat_template:
        for_work = (
            "for work take one that follows instructions, such as Gemma 4 12B (larger than any measured so far)",
            "put its GGUF file into your models' folder, or set model.path; `gemma-lsp models` says what context fits",
        )
        text = "a base model without a chat template shows the machinery; its words are worth little"
        checks.append(Check(name="model's words", state=State.NOTE, text=text, advice=for_work))
    return checks


def _diagnostics(seen: Surroundings) -> list[Check]:
    """Whether findings are shown, and why."""
    switch = seen.settings.diagnostics.enabled
    if seen.shape is None or switch == "off":
        return [Check(name="diagnostics", state=State.OK, text="off: diagnostics.enabled")] if switch == "off" else []
    if switch == "on":
        return [
            Check(name="diagnostics", state=State.OK, text=f"on: diagnostics.enabled; {seen.trust.why}".rstrip("; "))
        ]
    why = (
        seen.trust.why if seen.shape.has_chat_template else "a model without a chat template is not asked for findings"
    )
    if seen.trust.reviews and seen.shape.has_chat_template:
        return [Check(name="diagnostics", state=State.OK, text=f"on: {why}".rstrip(": "))]
    advice = ('set diagnostics.enabled to "on" to see its findings all the same',)
    return [Check(name="diagnostics", state=State.OK, text=f"off: {why}", advice=advice)]


def _llama(seen: Surroundings) -> list[Check]:
    return [Check(name="llama.cpp", state=State.OK, text=seen.build)]


def _gpu(seen: Surroundings) -> list[Check]:
    if seen.machine.gpus:
        names = ", ".join(f"{gpu.name} ({console.size(gpu.free)} free)" for gpu in seen.machine.gpus)
        state = State.OK if seen.settings.model.gpu_layers else State.NOTE
        unused = "" if seen.settings.model.gpu_layers else "; not used, because model.gpu_layers is 0"
        return [Check(name="gpu", state=state, text=names + unused)]
    flags = {"nvidia": "-DGGML_CUDA=on", "apple": "-DGGML_METAL=on", "amd": "-DGGML_VULKAN=on"}.get(seen.visible_gpu)
    if flags is None:
        return [Check(name="gpu", state=State.OK, text="none seen; the model runs on the CPU")]
    kind = {"nvidia": "an NVIDIA GPU", "apple": "Apple silicon", "amd": "an AMD GPU"}[seen.visible_gpu]
    if seen.offloads:
        text = f"this machine has {kind} and llama.cpp was built for a GPU, but sees none; check the driver"
        return [Check(name="gpu", state=State.ACTION, text=text, advice=reinstall(seen, flags))]
    text = f"this machine has {kind}, but llama.cpp was built for the CPU only; build it again:"
    return [Check(name="gpu", state=State.ACTION, text=text, advice=reinstall(seen, flags))]


def _memory(seen: Surroundings) -> list[Check]:
    if seen.shape is None or seen.found is None:
        return []
    spec = engine_spec(seen.settings, seen.found.path)
    try:
        plan = plan_for(spec, seen.shape, seen.machine)
    except ModelError as error:
        return [Check(name="context", state=State.ACTION, text=str(error))]
    capped = not uses_gpu(spec, seen.machine) and spec.n_ctx == 0 and plan.n_ctx == CPU_MAX_CTX < seen.shape.n_ctx_train
    advice = (f"without a GPU the context stops at {CPU_MAX_CTX:,} tokens; set model.n_ctx for more",) if capped else ()
    return [Check(name="context", state=State.OK, text=f"{plan.n_ctx:,} tokens: {plan.explanation}", advice=advice)]


def _folders(seen: Surroundings) -> list[Check]:
    checks = []
    for folder in seen.folders:
        where = f"{folder.path}" + ("" if folder.mode is not None else " (made when needed)")
        if not folder.writable:
            advice = (f"make it writable for you: {folder.path}",)
            checks.append(Check(name=folder.what, state=State.ACTION, text=f"{where} is not writable", advice=advice))
        elif folder.private and folder.mode is not None and folder.mode & 0o077 and os.name != "nt":
            advice = (f"chmod 700 {folder.path}",)
            text = f"{where} is open to other users ({folder.mode:o})"
            checks.append(Check(name=folder.what, state=State.ACTION, text=text, advice=advice))
        else:
            mode = f" ({folder.mode:o})" if folder.mode is not None and os.name != "nt" else ""
            checks.append(Check(name=folder.what, state=State.OK, text=where + mode))
    return checks


def _settings(seen: Surroundings) -> list[Check]:
    there = "" if seen.settings_file.is_file() else " (not there: defaults)"
    here = f"; of this folder: {seen.repository_file}" if seen.repository_file else "; this folder sets nothing"
    text = f"{seen.settings_file}{there}{here}"
    if seen.problems:
        lines = tuple(str(problem) for problem in seen.problems)
        return [Check(name="settings", state=State.ACTION, text=f"{len(lines)} wrong; {text}", advice=lines)]
    return [Check(name="settings", state=State.OK, text=text)]


def _editors(seen: Surroundings) -> list[Check]:
    names = ", ".join(seen.editors) or "none of the usual ones is on PATH"
    hints = ["every editor starts the server with: gemma-lsp serve"]
    if not seen.command:
        hints.append(f"gemma-lsp is not on PATH; editors can start: {seen.executable} -m gemma_lsp serve")
    state = State.OK if seen.command else State.NOTE
    return [Check(name="editors", state=state, text=names, advice=tuple(hints))]


def _plan_json(row: tuple[str, MemoryPlan | str]) -> dict[str, object]:
    name, plan = row
    return {"context": name, **({"problem": plan} if isinstance(plan, str) else asdict(plan))}


def _print(checks: list[Check], table: list[tuple[str, MemoryPlan | str]]) -> None:
    out = console.stdout()
    marks = {State.OK: "[green]ok    [/]", State.NOTE: "[yellow]note  [/]", State.ACTION: "[red]action[/]"}
    for check in checks:
        out.print(f"{marks[check.state]} [bold]{escape(check.name)}[/]: {escape(check.text)}", soft_wrap=True)
        for line in check.advice:
            out.print(f"         {escape(line)}", soft_wrap=True)
    if table:
        out.print("\nmemory that a context takes:")
        sizes = ("weights", "cache", "windows", "compute", "in all")
        console.print_table(out, ("context", *sizes), [_cells(row) for row in table], right=("context", *sizes))
    n = sum(check.state is State.ACTION for check in checks)
    out.print(f"\n{n} to do" if n else "\nnothing to do")


def _cells(row: tuple[str, MemoryPlan | str]) -> tuple[str, ...]:
    name, plan = row
    if isinstance(plan, str):
        return (name, "", "", "", "", "does not fit")
    parts = (plan.weight_bytes, plan.kv_full_bytes, plan.kv_sliding_bytes, plan.compute_bytes, plan.total_bytes)
    return (name, *(console.size(part) for part in parts))
