"""'Write a test for this function': appended to the file of its tests, or as a new one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from posixpath import basename, dirname

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer
from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import definition_target, parsed_answer
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Edit, Span, Text

_INSTRUCTION = (
    "Write a pytest test for `{name}`: the usual case first, then edge cases, with plain asserts on values that follow "
    "from the code. Use no mocks and no files. Answer with one block of Python code and nothing else."
)
EXPECTED_CHARS = 1200
_MODULES = ("math", "pytest")  # what a test may use without having been told to

TEST = Action(
    id="test",
    title="Write a test for this function",
    kind="refactor",
    answer=Answer.EDIT,
    command="test",
    offered=lambda facts: facts.language == "python" and facts.definition and not facts.test and not facts.stub,
)


def task_of_tests(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is no function to test."""
    target = definition_target(parsed, request.span)
    if target is None or target.symbol is None or target.symbol.kind is SymbolKind.CLASS:
        raise EditError("there is no function here that is short enough to test as a whole; nothing was changed")
    symbol, path = target.symbol, path_of_tests(ctx.index, parsed.path)
    existing = ctx.index.files.get(path)
    imported = symbol.qualified.partition(".")[0]
    line = f"from {module_of(parsed.path)} import {imported}"
    taken = {s.name for s in existing.symbols} if existing is not None else set()
    name = _free(f"test_{symbol.qualified.replace('.', '_').strip('_').lower()}", taken)
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(name=symbol.qualified),
        before="The code",
        after=f"Its tests, {path}",
        opening=f"{line}\n\n\ndef {name}(",
        evidence=evidence_for(ctx, request, parsed, symbol),
    )
    return Task(
        label=f"Test {target.name} in {path}",
        path=path,
        base=existing.text if existing is not None else Text(""),
        allowed=Span(0, len(existing.text.content) if existing is not None else 0),
        rewrite=rewrite,
        take=lambda code: _taken(code, existing, imported, line),
        expected_chars=EXPECTED_CHARS,
        creates=existing is None,
    )


def path_of_tests(index: Index, path: str) -> str:
    """Where the tests of a file are, or where they go: beside the other tests, by pytest's names."""
    stem = basename(path).removesuffix(".py").strip("_") or "init"
    if stem == "init":
        stem = basename(dirname(path)) or "init"
    names = (f"test_{stem}.py", f"{stem}_test.py")
    standing = sorted(known for known in index.files if basename(known) in names)
    if standing:
        return max(standing, key=lambda known: _shared(known, path))
    folders = Counter(dirname(known) for known in index.files if is_test_file(known))
    folder = folders.most_common(1)[0][0] if folders else "tests"
    return f"{folder}/{names[0]}" if folder else names[0]


def module_of(path: str) -> str:
    """The dotted name by which a file is imported."""
    parts = path.removesuffix(".pyi").removesuffix(".py").split("/")
    parts = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _taken(code: str, existing: ParsedFile | None, imported: str, line: str) -> tuple[Edit, ...]:
    """The answer's tests at the end of the file, with what they import at its head. Raises `Unusable`."""
    answer = parsed_answer(code)
    tests = [s for s in answer.symbols if s.name.lower().startswith("test") and "." not in s.qualified]
    tests = [s for s in tests if s.kind is not SymbolKind.VARIABLE]
    if not tests:
        raise Unusable("it holds no test")
    if "assert" not in code and "raises" not in code:
        raise Unusable("its tests check nothing")
    modules = [m for m in _MODULES if re.search(rf"\b{m}\.", code) and m not in {i.module for i in answer.imports}]
    if existing is None:
        head = "".join(f"import {module}\n" for module in modules) + ("\n" if modules else "")
        return (Edit(Span(0, 0), head + answer.text.content[: tests[-1].span.end].rstrip() + "\n"),)
    fresh = [s for s in tests if s.name not in {known.name for known in existing.symbols}]
    if not fresh:
        raise Unusable("its tests stand there already")
    content = existing.text.content
    gap = "" if not content.strip() else "\n" * (3 - min(3, len(content) - len(content.rstrip("\n"))))
    added = "\n\n\n".join(answer.text.slice(s.span) for s in fresh)
    edits = [Edit(Span(len(content), len(content)), f"{gap}{added}\n")]
    if not any(imported in known.names for known in existing.imports):
        edits.insert(0, _import_edit(existing, line))
    wanted = {*modules, *({i.module for i in answer.imports} & set(_MODULES))}
    for module in sorted(wanted - {i.module for i in existing.imports}):
        edits.insert(0, _import_edit(existing, f"import {module}"))
    return tuple(edits)


def _import_edit(existing: ParsedFile, line: str) -> Edit:
    """The import behind the last one at the head of the file, or where the code begins."""
    text = existing.text
    first = min((s.span.start for s in existing.symbols), default=len(text.content))
    above = [i.span.end for i in existing.imports if i.span.end <= first]
    if existing.docstring is not None:
        above.append(existing.docstring.end)
    start = min(text.line_span(text.position(max(above)).line).end + 1, len(text.content)) if above else 0
    return Edit(Span(start, start), line + "\n")


def _free(name: str, taken: Collection[str]) -> str:
    return name if name not in taken else next(n for k in range(2, len(taken) + 3) if (n := f"{name}_{k}") not in taken)


def _shared(a: str, b: str) -> int:
    """How many folders at the start of two paths are the same."""
    pairs = zip(a.split("/"), b.split("/"), strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x != y), 0)
