"""Configuration: sources, strength, wrong values, what a repository may not set, and the generated pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemma_lsp.config.catalog import catalog
from gemma_lsp.config.load import (
    Loaded,
    Problem,
    Source,
    Strength,
    client_source,
    merge,
    new_problems,
    repository_source,
    user_source,
)
from gemma_lsp.config.render import editor_properties, rendered
from gemma_lsp.config.schema import Settings

DOCS = Path(__file__).parents[2] / "docs"


def load(**values: Any) -> Loaded:
    """Settings from values as an editor sends them."""
    return merge([client_source(Strength.INITIALIZATION_OPTIONS, values)])


def names(loaded: Loaded) -> list[str]:
    """The dotted names of what was reported."""
    return [problem.name for problem in loaded.problems]


def write_toml(path: Path, text: str) -> Path:
    """A file of settings, and the folder it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.parent


def test_no_source_gives_the_documented_defaults() -> None:
    """Nothing needs to be set."""
    assert merge([]) == Loaded(settings=Settings())


@pytest.mark.parametrize("name", list(catalog()))
def test_every_default_is_accepted_by_its_own_setting(name: str) -> None:
    """A default that its own check refuses could not be written down by a user."""
    info = catalog()[name]
    assert load(**{name: info.default}) == Loaded(settings=Settings())


def test_the_stronger_source_wins_whatever_the_order_they_come_in() -> None:
    """Editor options, workspace/configuration, repository, user file: for each setting by itself."""
    sources = [
        Source(strength=Strength(n), origin=str(n), values={"completion": dict.fromkeys(fields, n * 100)})
        for n, fields in {
            4: ["max_tokens"],
            3: ["max_tokens", "deadline_ms"],
            2: ["max_tokens", "deadline_ms", "debounce_ms"],
            1: ["max_tokens", "deadline_ms", "debounce_ms"],
        }.items()
    ]
    for order in (sources, sources[::-1]):
        completion = merge(order).settings.completion
        assert (completion.max_tokens, completion.deadline_ms, completion.debounce_ms) == (400, 300, 200)


def test_a_wrong_value_falls_back_to_the_next_source() -> None:
    """What is wrong is left out; a weaker source's valid value is better than the default."""
    weak = Source(strength=Strength.USER_FILE, origin="user", values={"log": {"level": "debug"}})
    loaded = merge([weak, client_source(Strength.INITIALIZATION_OPTIONS, {"log": {"level": "loud"}})])
    assert loaded.settings.log.level == "debug"
    assert [str(problem) for problem in loaded.problems] == [
        'log.level: expected one of "error", "warning", "info", "debug", got "loud" (initializationOptions)'
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model.n_ctx", "many", 'expected a whole number from 0 to 16777216, got "many"'),
        ("model.n_ctx", -1, "expected a whole number from 0 to 16777216, got -1"),
        ("model.n_ctx", True, "expected a whole number from 0 to 16777216, got true"),
        ("model.n_ctx", 1.5, "expected a whole number from 0 to 16777216, got 1.5"),
        ("model.n_ctx", float("inf"), "expected a whole number from 0 to 16777216, got Infinity"),
        ("model.path", 7, "expected a text, got 7"),
        ("model.path", "a\0b", 'expected a text, got "a\\u0000b"'),
        ("completion.enabled", 1, "expected true or false, got 1"),
        ("index.exclude", "*.py", 'expected a list of texts, got "*.py"'),
        ("index.exclude", ["*.py", 1], 'expected a list of texts, got ["*.py", 1]'),
        ("explain.max_token", 9, "no such setting; did you mean explain.max_tokens?"),
        ("colour", "red", "no such setting; see docs/configuration.md"),
        ("model", 3, "expected a table of settings, got int"),
    ],
)
def test_a_wrong_value_is_reported_by_its_dotted_name_and_the_default_stays(
    name: str, value: object, message: str
) -> None:
    """The user is told which setting, what is expected, and what was found."""
    loaded = load(**{name: value})
    assert loaded.settings == Settings()
    assert [(problem.name, problem.message) for problem in loaded.problems] == [(name, message)]


def test_one_wrong_value_does_not_spoil_the_others() -> None:
    """A typo in one setting leaves the rest as the user wants them."""
    loaded = load(completion={"max_tokens": "x", "debounce_ms": 5}, explain=None)
    assert loaded.settings.completion.debounce_ms == 5
    assert names(loaded) == ["completion.max_tokens"]


def test_numbers_of_clients_that_know_only_floats_are_read() -> None:
    """Lua writes 64.0."""
    assert load(completion={"max_tokens": 32.0}).settings.completion.max_tokens == 32


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"gemma-lsp": v}])
def test_an_editor_may_wrap_its_settings(wrap: Any) -> None:
    """Clients send the section itself or the whole tree."""
    source = client_source(Strength.WORKSPACE_CONFIGURATION, wrap({"diagnostics.max_per_file": 2}))
    assert merge([source]).settings.diagnostics.max_per_file == 2


@pytest.mark.parametrize("raw", [[], "text", 3, {"gemma-lsp": "text"}])
def test_settings_that_are_no_object_are_a_problem(raw: object) -> None:
    """Not an exception: the server starts with the defaults."""
    loaded = merge([client_source(Strength.INITIALIZATION_OPTIONS, raw)])
    assert loaded.settings == Settings()
    assert names(loaded) == ["gemma-lsp"]


def test_a_repository_tunes_what_is_indexed_and_offered(tmp_path: Path) -> None:
    """[tool.gemma-lsp] in pyproject.toml."""
    write_toml(tmp_path / "pyproject.toml", '[tool.gemma-lsp.index]\nexclude = ["vendor/"]\n')
    loaded = merge([repository_source(tmp_path)])
    assert loaded.settings.index.exclude == ("vendor/",)
    assert loaded.problems == ()


@pytest.mark.parametrize("name", [name for name in catalog() if name.split(".")[0] in {"model", "engine", "log"}])
def test_a_repository_never_sets_a_model_or_an_engine(tmp_path: Path, name: str) -> None:
    """Opening a repository must not run anything of its choice."""
    info = catalog()[name]
    value = {"text": "elsewhere.gguf", "integer": info.maximum}.get(info.kind, "".join(info.choices[-1:]))
    section, field = name.split(".")
    write_toml(tmp_path / "pyproject.toml", f"[tool.gemma-lsp.{section}]\n{field} = {json.dumps(value)}\n")
    loaded = merge([repository_source(tmp_path)])
    assert loaded.settings == Settings()
    assert [problem.message for problem in loaded.problems] == [
        "a repository may not set this; set it in the editor or in the user file"
    ]


def test_nothing_that_a_repository_may_set_names_a_file_to_open_or_run() -> None:
    """A new text setting in a section that repositories may set has to be thought about: then change this test."""
    assert [name for name, info in catalog().items() if info.from_repository and info.kind == "text"] == []


@pytest.mark.parametrize("text", ["[tool", "\xff", "a = 1\na = 2"])
def test_a_file_that_cannot_be_read_is_a_problem_and_not_an_error(tmp_path: Path, text: str) -> None:
    """A broken pyproject.toml is common while it is being edited."""
    (tmp_path / "pyproject.toml").write_bytes(text.encode("latin-1"))
    loaded = merge([repository_source(tmp_path)])
    assert loaded.settings == Settings()
    assert names(loaded) == ["pyproject.toml"]


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\ngemma-lsp = 3"])
def test_a_table_that_is_no_table_is_a_problem(tmp_path: Path, text: str) -> None:
    """The table's name is in the message."""
    write_toml(tmp_path / "pyproject.toml", text)
    assert names(merge([repository_source(tmp_path)])) == ["tool.gemma-lsp"]


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    """Most users have neither file; a folder of that name counts as none."""
    (tmp_path / "pyproject.toml").mkdir()
    assert merge([repository_source(tmp_path), user_source(tmp_path / "none.toml")]) == Loaded(settings=Settings())


def test_the_user_file_sets_anything(tmp_path: Path) -> None:
    """With a byte order mark too, as some Windows editors write it."""
    path = tmp_path / "config.toml"
    path.write_text('model.path = "x.gguf"\n', encoding="utf-8-sig")
    assert merge([user_source(path)]).settings.model.path == "x.gguf"


def test_a_problem_is_reported_once() -> None:
    """The same wrong value, read again after a change of another setting, stays quiet."""
    reported: set[Problem] = set()
    first = load(**{"model.n_ctx": "x"})
    assert new_problems(first.problems, reported) == list(first.problems)
    assert new_problems(load(**{"model.n_ctx": "x", "log.level": "debug"}).problems, reported) == []


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text("a.", max_size=5)
json_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text("a.", max_size=3), scalars, max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["model", "log", "model.path", "completion.enabled", "x", ""]), json_values))
def test_any_json_gives_usable_settings(raw: dict[str, object]) -> None:
    """Whatever a client sends, every value has its own type, and each problem has a name and a reason."""
    loaded = merge([client_source(Strength.INITIALIZATION_OPTIONS, raw)])
    assert isinstance(loaded.settings.model.path, str)
    assert isinstance(loaded.settings.completion.enabled, bool)
    assert all(problem.message for problem in loaded.problems)


@pytest.mark.parametrize("name", list(rendered()))
def test_the_generated_pages_are_up_to_date(name: str) -> None:
    """Run `python -m gemma_lsp.config.render` after a change of the schema."""
    assert (DOCS / name).read_text(encoding="utf-8") == rendered()[name]


def test_every_setting_is_documented() -> None:
    """A name, a default and a sentence for each, in the page and in what editors show."""
    page = rendered()["configuration.md"]
    assert all(f"| `{name}` |" in page and info.doc in page for name, info in catalog().items())
    assert list(editor_properties()) == [f"gemma-lsp.{name}" for name in catalog()]
