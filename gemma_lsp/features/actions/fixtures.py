"""What pytest hands to a test by the name of a parameter: known fixtures, and those that nobody has. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from gemma_lsp.features.actions.definitions import decorators
from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import SymbolKind

_OF_PYTEST = re.compile(
    "cache|cap(fd|fdbinary|log|sys|sysbinary|teesys)|doctest_namespace|monkeypatch|pytestconfig|pytester|recwarn|request|"
    "record_(property|testsuite_property|xml_attribute)|subtests|testdir|tmp_path(_factory)?|tmpdir(_factory)?"
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def unknown_fixture(code: Collection[ast.stmt], index: Index) -> str:
    """A parameter of a test in the code that nothing there or in the workspace would give a value; "" for none.

    A plugin may have fixtures that stand nowhere: those are known by tests that take them already.
    """
    own = {node.name for node in code if isinstance(node, _Function) and _named(node, "fixture")}
    asked = {name for node in code for name in _asked(node)} - own
    return min((name for name in asked if not _OF_PYTEST.fullmatch(name) and not _is_known(name, index)), default="")


def _asked(node: ast.stmt, given: Collection[str] = ()) -> Iterator[str]:
    """The parameters of tests for which pytest looks for a fixture."""
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test") and not node.bases:
        own = {n.name for n in node.body if isinstance(n, _Function) and _named(n, "fixture")}
        for inner in node.body:
            yield from _asked(inner, {"self", "cls", *own, *_parametrized(node)})
    elif isinstance(node, _Function) and node.name.startswith("test") and all(map(_is_mark, node.decorator_list)):
        a = node.args
        positional = [*a.posonlyargs, *a.args]
        bare = positional[: len(positional) - len(a.defaults)]
        bare += [p for p, default in zip(a.kwonlyargs, a.kw_defaults, strict=True) if default is None]
        yield from {p.arg for p in bare} - {*given, *_parametrized(node)}


def _parametrized(node: _Function | ast.ClassDef) -> Iterator[str]:
    """The names that marks give values."""
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("parametrize"):
            names = call.args[:1] + [k.value for k in call.keywords if k.arg == "argnames"]
            said = [n.value for part in names for n in ast.walk(part) if isinstance(n, ast.Constant)]
            yield from (name.strip() for text in said if isinstance(text, str) for name in text.split(","))


def _is_mark(decorator: ast.expr) -> bool:
    """Other decorators may hand values to a test, too."""
    return ".mark." in f"{ast.unparse(decorator)}."


def _named(node: _Function, word: str) -> bool:
    return any(word in ast.unparse(decorator) for decorator in node.decorator_list)


def _is_known(name: str, index: Index) -> bool:
    for path, symbol in index.definitions(name):
        if symbol.kind is not SymbolKind.VARIABLE and "fixture" in "".join(decorators(index.files[path], symbol)):
            return True
    taken = re.compile(rf"def test\w*\([^)]*\b{name}\b|\bname\s*=\s*[\"']{name}[\"']")
    return any(taken.search(parsed.text.content) for path, parsed in index.files.items() if is_test_file(path))
