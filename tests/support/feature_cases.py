"""Text fixtures for features: a sentence, files, what the model says, and what the user gets.

One sentence that says what is shown.
--- file: shop/rates.py          `$0` is the cursor; `$[` and `$]` enclose the selection
--- option: kind = chat          kind, invoked, or a setting such as completion.multiline
--- model                        one answer of the scripted model; may come several times
--- expect                       written by `GEMMA_LSP_REGENERATE=1 pytest`, read by a person
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gemma_lsp.config.schema import Settings
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import LayoutOptions, plan_layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.syntax.index import build
from gemma_lsp.text import Position, Span, Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot
from tests.support.scripted import ScriptedEngine, scripted_model

FOLDER = Path(__file__).parent.parent / "fixtures_text" / "features"
REGENERATE = os.environ.get("GEMMA_LSP_REGENERATE") == "1"


@dataclass
class Case:
    """One fixture, read. `path` and `offset` are the cursor's, `span` the selection's."""

    name: str
    source: str
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    expect: str = ""
    path: str = ""
    offset: int = 0
    span: Span = field(default_factory=lambda: Span(0, 0))

    @property
    def position(self) -> Position:
        """The cursor's line and column."""
        return Text(self.files[self.path]).position(self.offset)

    @property
    def invoked(self) -> bool:
        """Whether the user asked for the completion."""
        return self.options.get("invoked") == "yes"


def case_names(feature: str) -> list[str]:
    """The fixtures of one feature."""
    names = sorted(file.stem for file in (FOLDER / feature).glob("*.txt"))
    assert names, f"no fixtures for {feature}"
    return names


def read_case(feature: str, name: str) -> Case:
    """Reads one fixture."""
    source = (FOLDER / feature / f"{name}.txt").read_text(encoding="utf-8")
    case = Case(name=f"{feature}/{name}", source=source)
    sentence, *sections = source.split("\n--- ")
    assert sentence.strip(), f"{name} does not say what it shows"
    for section in sections:
        head, _, body = section.partition("\n")
        kind, _, what = head.partition(": ")
        if kind == "file":
            _add_file(case, what.strip(), body + "\n")
        elif kind == "option":
            key, _, value = what.partition(" = ")
            case.options[key.strip()] = value.strip()
        elif kind == "model":
            case.answers.append(body)
        else:
            assert kind == "expect", f"{name}: what is {kind!r}?"
            case.expect = body.removesuffix("\n")
    return case


def check_case(case: Case, got: str) -> None:
    """Compares with what is expected, or writes it down."""
    if REGENERATE:
        kept = case.source.partition("\n--- expect\n")[0]
        (FOLDER / f"{case.name}.txt").write_text(f"{kept}\n--- expect\n{got}\n", encoding="utf-8")
        return
    assert got == case.expect


def context_for(case: Case, engine: ScriptedEngine) -> FeatureContext:
    """A workspace with the case's files, all resident, and the hole at the cursor."""
    texts = {path: Text(content) for path, content in case.files.items()}
    index = build(WorkspaceSnapshot(root=Path("/workspace"), name="shop", files=texts))
    model = engine.model
    assert model is not None
    frame = frame_for(model, "shop")
    resident = Resident.start(plan_layout(index, LayoutOptions(budget_tokens=100_000)), index, frame)
    focus = Focus(case.path, case.offset) if case.path else None
    return FeatureContext(
        index=index,
        resident=resident.with_index(index, focus),
        engine=engine,
        workspace="w",
        settings=_settings(case.options),
        model=model,
        frame=frame,
        memory=Memory(),
    )


def engine_for(case: Case) -> ScriptedEngine:
    """The scripted model that the case describes."""
    return ScriptedEngine(*case.answers, model=scripted_model(case.options.get("kind", "base")))


def _add_file(case: Case, path: str, body: str) -> None:
    places: dict[str, int] = {}
    while found := re.search(r"\$[0\[\]]", body):
        places[found.group()] = found.start()
        body = body[: found.start()] + body[found.end() :]
    if places:
        case.path = path
        start = places.get("$[", places.get("$0", 0))
        case.offset = places.get("$0", start)
        case.span = Span(start, places.get("$]", start))
    case.files[path] = body


def _settings(options: dict[str, str]) -> Settings:
    settings = Settings()
    changed: dict[str, dict[str, Any]] = {"completion": {"debounce_ms": 0, "prefetch": False, "candidates": 1}}
    for key, value in options.items():
        section, dot, name = key.partition(".")
        if dot:
            changed.setdefault(section, {})[name] = int(value) if value.isdigit() else value
    values: dict[str, Any] = {name: replace(getattr(settings, name), **part) for name, part in changed.items()}
    return replace(settings, **values)
