"""Imports as Python reads them: what a file binds by them, and where another one goes. Pure."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from gemma_lsp.features.actions.places import module_of
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Edit, Span

_HEAD = re.compile(r"(?:#[^\n]*\n)+")  # shebang, encoding, licence


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """`from module import name as bound`; without a name, `import module as bound`."""

    module: str
    name: str
    bound: str

    @property
    def told(self) -> str:
        """What stands behind the word `import`."""
        said = self.name or self.module
        return said if self.bound == said.partition(".")[0] else f"{said} as {self.bound}"


def tree_of(content: str) -> ast.Module | None:
    """A text as Python reads it; None where it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def bindings(nodes: Iterable[ast.stmt], path: str, files: Collection[str]) -> dict[str, Binding]:
    """The names that imports of a module's scope bind, also those in its `try` and `if` blocks; dots are resolved."""
    found: dict[str, Binding] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                found[bound] = Binding(alias.name, "", bound)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, files)
            for alias in node.names:
                if alias.name != "*":
                    bound = alias.asname or alias.name
                    found[bound] = Binding(module, alias.name, bound)
        else:
            found |= bindings(blocks_of(node), path, files)
    return found


def blocks_of(node: ast.stmt) -> Iterator[ast.stmt]:
    """The statements in the blocks of one that opens no scope of its own."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield inner
            elif isinstance(inner, ast.ExceptHandler | ast.match_case):
                yield from inner.body


def import_lines(wanted: Collection[Binding], own: Collection[str] = ()) -> list[list[str]]:
    """The import statements, in groups: the standard library, what is installed, `own` packages."""
    groups: list[list[str]] = [[], [], []]
    names: defaultdict[str, list[Binding]] = defaultdict(list)
    for binding in sorted(wanted):
        names[binding.module].append(binding)
    for module, taken in names.items():
        top = module.partition(".")[0]
        group = groups[2 if top in own or not top else 0 if top in sys.stdlib_module_names else 1]
        group += [f"import {binding.told}" for binding in taken if not binding.name]
        if told := [binding.told for binding in taken if binding.name]:
            group.append(f"from {module} import {', '.join(told)}")
    return [sorted(group, key=lambda line: line.startswith("from")) for group in groups if group]


def import_edit(existing: ParsedFile, lines: Collection[str]) -> Edit:
    """The lines behind the last import at the margin of the file's head, or else where its code begins."""
    text, said = existing.text, "".join(line + "\n" for line in lines)
    code = [s.span.start for s in existing.symbols if s.kind is not SymbolKind.VARIABLE]
    first = min(code, default=len(text.content))
    above = [i.span for i in existing.imports if i.span.end <= first and text.position(i.span.start).column == 0]
    head = _HEAD.match(text.content)
    if above:
        start = _line_below(existing, above[-1].end)
    elif existing.docstring is not None:
        start, said = _line_below(existing, existing.docstring.end), "\n" + said
    elif head:
        start, said = head.end(), "\n" + said
    else:
        start = 0
    if start and not text.content[:start].endswith("\n"):
        said = "\n" + said
    below = text.content[start:]
    if not above and below.strip() and not below.startswith(("\n", "import ", "from ")):
        said += "\n\n"
    return Edit(Span(start, start), said)


def _line_below(existing: ParsedFile, offset: int) -> int:
    text = existing.text
    return min(text.line_span(text.position(offset).line).end + 1, len(text.content))


def _absolute(node: ast.ImportFrom, path: str, files: Collection[str]) -> str:
    """The module of an import without the dots in front: those of a file's own package take their place."""
    if not node.level:
        return node.module or ""
    package = module_of(path, files).split(".")
    package = package[: len(package) - node.level + path.endswith("__init__.py")]
    return ".".join([*package, *([node.module] if node.module else [])])
