"""'Write a test for this function': appended to the file of its tests, or as a new one."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer
from gemma_lsp.features.actions.carrying import Carried, Piece, Place, carried, pieces_of, top_bindings
from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.features.actions.fixtures import unknown_fixture
from gemma_lsp.features.actions.imports import Binding, import_edit, import_lines
from gemma_lsp.features.actions.places import module_of, path_of_tests
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import definition_target
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Edit, Span, Text

_INSTRUCTION = (
    "Write a pytest test for `{name}`: the usual case first, then edge cases, with plain asserts on values that follow "
    "from the code. Use no mocks and no files.{more} Answer with one block of Python code and nothing else."
)
_COROUTINE = " It is a coroutine function: call it with `asyncio.run`."
_AWAITS = re.compile(r"\bawait\b|\brun_until_complete\(|\brun\(")
_MAIN = re.compile(r"(?m)^if __name__\s*==.*\n(?:[ \t].*(?:\n|\Z)|\n)*\Z")
EXPECTED_CHARS = 1200

TEST = Action(
    id="test",
    title="Write a test for this function",
    kind="refactor",
    answer=Answer.EDIT,
    command="test",
    offered=lambda facts: facts.language == "python" and facts.definition and not facts.test and not facts.stub,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """What is tested, and where its tests go. `awaited`: it is a coroutine function."""

    place: Place
    symbol: Symbol
    awaited: bool


def task_of_tests(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is no function to test, or its name is taken."""
    target = definition_target(parsed, request.span)
    if target is None or target.symbol is None or target.symbol.kind is SymbolKind.CLASS:
        raise EditError("there is no function here that is short enough to test as a whole; nothing was changed")
    symbol, path = target.symbol, path_of_tests(ctx.index, parsed.path)
    existing, awaited = ctx.index.files.get(path), parsed.text.slice(symbol.signature).startswith("async")
    name = symbol.qualified.partition(".")[0]
    binding = Binding(module_of(parsed.path, ctx.index.files), name, name)
    if existing is not None:
        binding = _as_bound_there(existing, binding, ctx)
    place = Place(index=ctx.index, module=parsed, path=path, existing=existing, tested=binding)
    tested = _Tested(place=place, symbol=symbol, awaited=awaited)
    taken = {s.name for s in existing.symbols} if existing is not None else set()
    test = _free(f"test_{symbol.qualified.replace('.', '_').strip('_').lower()}", taken)
    head = "".join(f"{line}\n" for line in (*(("import asyncio", "") if awaited else ()), _told(binding)))
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(name=symbol.qualified, more=_COROUTINE if awaited else ""),
        before="The code",
        after=f"Its tests, {path}",
        opening=f"{head}\n\ndef {test}(",
        several=True,
        evidence=evidence_for(ctx, request, parsed, symbol),
    )
    return Task(
        label=f"Test {target.name} in {path}",
        path=path,
        base=existing.text if existing is not None else Text(""),
        allowed=Span(0, len(existing.text.content) if existing is not None else 0),
        rewrite=rewrite,
        take=lambda code: _taken(code, tested),
        expected_chars=EXPECTED_CHARS,
        creates=existing is None,
    )


def _as_bound_there(existing: ParsedFile, binding: Binding, ctx: FeatureContext) -> Binding:
    """How the file of the tests imports what is tested, which may be from a package around its module.

    Raises `EditError` where it calls something else by that name.
    """
    known = top_bindings(existing, ctx.index).get(binding.bound)
    if known is None and not any(s.qualified == binding.bound for s in existing.symbols):
        return binding
    if known is not None and known.name == binding.name and f"{binding.module}.".startswith(f"{known.module}."):
        return known
    raise EditError(f"`{binding.bound}` is something else in {existing.path}; nothing was changed")


def _taken(code: str, tested: _Tested) -> tuple[Edit, ...]:
    """The answer's tests with what they need, at the end of the file and at its head. Raises `Unusable`."""
    pieces, existing = pieces_of(code), tested.place.existing
    tests = [piece for piece in pieces if piece.is_test]
    if not tests:
        raise Unusable("it holds no test")
    standing = {s.name for s in existing.symbols if "." not in s.qualified} if existing is not None else set()
    fresh = [piece for piece in tests if not piece.binds & standing]
    if not fresh:
        raise Unusable("its tests stand there already")
    taken = carried(pieces, fresh, tested.place)
    _check(taken, fresh, tested)
    own = {module_of(path, tested.place.index.files).partition(".")[0] for path in tested.place.index.files}
    groups = import_lines(taken.imports, own)
    body = "\n\n\n".join(piece.text for piece in taken.pieces)
    if existing is None or not existing.text.content.strip():
        head = "\n\n".join("\n".join(group) for group in groups)
        return (Edit(Span(0, len(existing.text.content) if existing else 0), f"{head}\n\n\n{body}\n"),)
    edits = [_appended(existing.text.content, body)]
    if groups:
        edits.insert(0, import_edit(existing, [line for group in groups for line in group]))
    return tuple(edits)


def _check(taken: Carried, tests: Collection[Piece], tested: _Tested) -> None:
    """Raises `Unusable` where the tests check nothing, or not what they are about, or could not be run."""
    code, name = "\n".join(piece.text for piece in taken.pieces), tested.symbol.name
    if "assert" not in code and "raises" not in code:
        raise Unusable("its tests check nothing")
    bound = tested.place.tested.bound
    if not any(bound in piece.needs for piece in taken.pieces):
        raise Unusable(f"it does not use `{bound}`")
    if tested.awaited and not _AWAITS.search(code):
        raise Unusable(f"`{name}` is a coroutine function, to be called with asyncio.run")
    if unknown := unknown_fixture([piece.node for piece in taken.pieces], tested.place.index):
        raise Unusable(f"`{unknown}` is a parameter of a test, and there is no such fixture")
    files = tested.place.index.files
    if any(_is_coroutine(piece.node) for piece in tests) and not any(
        "async def test" in parsed.text.content for path, parsed in files.items() if is_test_file(path)
    ):
        raise Unusable("pytest runs no `async def` without a plugin; call asyncio.run in a plain test")


def _is_coroutine(node: ast.stmt) -> bool:
    inner = node.body if isinstance(node, ast.ClassDef) else [node]
    return any(isinstance(part, ast.AsyncFunctionDef) and part.name.startswith("test") for part in inner)


def _appended(content: str, body: str) -> Edit:
    """The tests behind all others, before what runs the file as a program."""
    main = _MAIN.search(content)
    at = main.start() if main else len(content)
    above = content[:at]
    gap = "\n" * (3 - min(3, len(above) - len(above.rstrip("\n")))) if above.strip() else ""
    return Edit(Span(at, at), f"{gap}{body}\n" + ("\n\n" if main else ""))


def _told(binding: Binding) -> str:
    ((line,),) = import_lines([binding])
    return line


def _free(name: str, taken: Collection[str]) -> str:
    return name if name not in taken else next(n for k in range(2, len(taken) + 3) if (n := f"{name}_{k}") not in taken)
