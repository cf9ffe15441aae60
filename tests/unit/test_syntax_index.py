"""The index answers the same whether it was built at once or followed change by change."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.base.cancel import CancelSource
from gemma_lsp.base.errors import Cancelled
from gemma_lsp.syntax import Import, Index, parse
from gemma_lsp.syntax.index import build
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace import WorkspaceSnapshot

PATHS = ("a.py", "pkg/__init__.py", "pkg/b.py", "pkg/sub/c.py", "src/lib/d.py", "README.md")
SOURCES = (
    "",
    "import a\nfrom pkg import b\ndef f(): return g(b)\n",
    "from .b import g\nfrom . import b\nclass C:\n    def f(self): return g()\n",
    "from lib import d\ndef g(): return f() + f() + C.f\n",
    "from ..b import g\nx = g\n",
    "f = 1\n",
)
NAMES = ("f", "g", "C", "x", "b", "nothing")


def index_of(files: dict[str, str]) -> Index:
    texts = {path: Text(content) for path, content in files.items()}
    return build(WorkspaceSnapshot(root=None, name="w", files=texts))


def answers(index: Index) -> list[object]:
    """Everything that can be asked, as plain data."""
    return [
        [(index.definitions(name), index.references(name), index.call_sites(name)) for name in NAMES],
        dict(index.imports),
        dict(index.importers),
        set(index.names),
        set(index.files),
    ]


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from(SOURCES)),
    st.lists(st.dictionaries(st.sampled_from(PATHS), st.one_of(st.none(), st.sampled_from(SOURCES))), max_size=4),
    st.booleans(),
)
def test_changes_lead_where_a_build_leads(
    files: dict[str, str], steps: list[dict[str, str | None]], asked_between: bool
) -> None:
    """Tables that were handed down and patched say what fresh ones say."""
    index = index_of(files)
    for step in steps:
        if asked_between:
            answers(index)
        changes = {path: None if content is None else Text(content) for path, content in step.items()}
        index = index.with_changes(index.snapshot.with_changes(changes))
    assert answers(index) == answers(build(index.snapshot))


def test_an_unchanged_file_keeps_its_parse() -> None:
    """And a file that an open tree has parsed already is not parsed again."""
    index = index_of({"a.py": "x = 1\n", "b.py": "y = 1\n", "c.py": "z = 1\n"})
    text = Text("y = 2\n")
    known = parse("b.py", text)
    after = index.with_changes(index.snapshot.with_changes({"b.py": text, "c.py": None}), {"b.py": known})
    assert after.files["a.py"] is index.files["a.py"]
    assert after.files["b.py"] is known
    assert set(after.files) == {"a.py", "b.py"}
    assert after.snapshot.revision == 1


def test_a_parse_of_another_text_is_not_believed() -> None:
    """The invariant holds whatever the caller hands in."""
    index = index_of({"a.py": "x = 1\n"})
    snapshot = index.snapshot.with_changes({"a.py": Text("x = 2\n")})
    after = index.with_changes(snapshot, {"a.py": parse("a.py", Text("x = 3\n"))})
    assert after.files["a.py"].text == Text("x = 2\n")


def test_definitions_and_uses_are_found_by_plain_name() -> None:
    """With their files, in the order of paths and places; a call is a use too."""
    user = "from a import f\nprint(f, f(1), o.f(2))\n"
    index = index_of({"b.py": user, "a.py": "def f(): pass\nclass A:\n    f = 1\n"})
    assert [(path, symbol.qualified) for path, symbol in index.definitions("f")] == [("a.py", "f"), ("a.py", "A.f")]
    assert {path for path, _ in index.references("f")} == {"b.py"}
    assert [used.is_call for _, used in index.references("f")] == [False, True, True]
    assert [used.span.start for _, used in index.call_sites("f")] == [25, 33]
    assert not index.definitions("nothing")
    assert not index.references("nothing")


@pytest.mark.parametrize(
    ("path", "module", "names", "targets"),
    [
        ("main.py", "pkg", (), ["pkg/__init__.py"]),
        ("main.py", "pkg.mod", (), ["pkg/mod.py"]),
        ("main.py", "pkg", ("mod",), ["pkg/mod.py"]),
        ("main.py", "pkg", ("mod", "Name"), ["pkg/mod.py", "pkg/__init__.py"]),
        ("main.py", "pkg.mod", ("*",), ["pkg/mod.py"]),
        ("pkg/mod.py", ".", ("other",), ["pkg/other.pyi"]),
        ("pkg/mod.py", ".other", ("x",), ["pkg/other.pyi"]),
        ("pkg/sub/deep.py", "..mod", ("x",), ["pkg/mod.py"]),
        ("pkg/sub/deep.py", "..", ("sub",), ["pkg/__init__.py"]),
        ("pkg/mod.py", "....far", ("x",), []),
        ("main.py", "lib.core", ("x",), ["src/lib/core.py"]),
        ("main.py", "tool", ("x",), ["apps/tool.py"]),
        ("main.py", "os.path", ("join",), []),
    ],
)
def test_imports_lead_to_files_of_the_workspace(
    path: str, module: str, names: tuple[str, ...], targets: list[str]
) -> None:
    """Absolute ones from the root, `src` and other folders of modules; relative ones by their dots."""
    files = ["main.py", "pkg/__init__.py", "pkg/mod.py", "pkg/other.pyi", "pkg/sub/deep.py", "src/lib/__init__.py"]
    index = index_of(dict.fromkeys([*files, "src/lib/core.py", "apps/tool.py"], ""))
    imported = Import(module, names, Span(0, 0))
    assert list(index.import_targets(path, imported)) == targets
    assert index.resolve_import(path, imported) == (targets[0] if targets else None)


def test_the_graph_of_imports_goes_both_ways() -> None:
    """Each file once, itself never."""
    index = index_of({"a.py": "import b, a\nfrom b import x\n", "b.py": "", "c.py": "import b\n"})
    assert dict(index.imports) == {"a.py": ("b.py",), "b.py": (), "c.py": ("b.py",)}
    assert dict(index.importers) == {"b.py": ("a.py", "c.py")}


def test_a_build_tells_its_progress_and_can_be_cancelled() -> None:
    """Before each file."""
    seen: list[tuple[int, int]] = []
    source = CancelSource()
    snapshot = WorkspaceSnapshot(root=None, name="w", files={"a.py": Text(""), "b.py": Text("")})
    build(snapshot, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    source.cancel()
    with pytest.raises(Cancelled):
        build(snapshot, cancel=source.token)
