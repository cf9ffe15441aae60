"""What an answer leaves out although nobody asked for that: annotations, defaults, comments behind code. Pure.

A model that writes a definition again tends to write it as it would have, not as it stands there.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from gemma_lsp.features.actions.definitions import function_of, stands_apart
from gemma_lsp.features.actions.strings import string_lines
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.syntax.types import ParsedFile, Symbol


def says_less(new: str, old: str) -> bool:
    """Whether one signature says of another what it says, and nothing else: the same parameters, or fewer words."""
    if new == old:
        return True
    after, before = function_of(new), function_of(old)
    if after is None or before is None or _kinds(after.args) != _kinds(before.args):
        return False
    if isinstance(after, ast.AsyncFunctionDef) and not isinstance(before, ast.AsyncFunctionDef):
        return False
    said = zip(_said(after), _said(before), strict=True)
    return all(mine is None or (theirs is not None and ast.dump(mine) == ast.dump(theirs)) for mine, theirs in said)


def signature_lines(parsed: ParsedFile, symbol: Symbol) -> range:
    """The lines of a signature whose body stands below it; none where it does not."""
    if not stands_apart(parsed, symbol):
        return range(0)
    first, last = (parsed.text.position(at).line for at in (symbol.signature.start, symbol.signature.end))
    return range(first, last + 1)


def with_comments(wanted: Sequence[str], old: Sequence[str]) -> list[str]:
    """The wanted lines; one that says what an old one says before its comment is the old one."""
    stood: defaultdict[str, list[str]] = defaultdict(list)
    for code, line in _coded(old):
        stood[code].append(line)
    text = {n for run in string_lines(wanted) for n in run}
    taken = list(wanted)
    for code, lines in stood.items():
        places = [n for n, line in enumerate(wanted) if n not in text and line.rstrip() == code]
        if len(places) == len(lines) and any(line != code for line in lines):
            for n, line in zip(places, lines, strict=True):
                taken[n] = line
    return taken


def comments_of(code: str) -> list[str]:
    """The comments of a piece of code, in order."""
    return [code[at:].partition("\n")[0].rstrip() for at in lexical_state(code, len(code)).comments]


def left_behind(answer: ParsedFile, found: Symbol, file: ParsedFile) -> str:
    """A name that an answer's definition uses, that the answer defines beside it, and that the file never heard of."""
    beside = {s.name for s in answer.symbols if s.span.end <= found.start or found.span.end <= s.start}
    used = {used.name for used in answer.references if found.span.contains(used.span.start)} & beside
    lost = (name for name in used if not re.search(rf"\b{re.escape(name)}\b", file.text.content))
    return min(set(lost) - _set_in(answer, found), default="") if used else ""


def _set_in(answer: ParsedFile, found: Symbol) -> set[str]:
    """The names that a definition sets itself; none where Python cannot read it."""
    try:
        tree = ast.parse(answer.text.content)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    first, last = (answer.text.position(at).line + 1 for at in (found.start, found.span.end))
    inside = [node for node in ast.walk(tree) if first <= getattr(node, "lineno", 0) <= last]
    stored = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in inside if isinstance(node, ast.arg)}


def _coded(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each line that holds code and begins outside of strings, without its comment and with it."""
    content = "\n".join(lines)
    comments = lexical_state(content, len(content)).comments
    text = {n for run in string_lines(lines) for n in run}
    start = 0
    for n, line in enumerate(lines):
        at = next((at - start for at in comments if start <= at < start + len(line)), len(line))
        start += len(line) + 1
        if n not in text and line[:at].strip():
            yield line[:at].rstrip(), line.rstrip()


def _kinds(args: ast.arguments) -> list[list[str]]:
    """The names of the parameters, by how they can be given."""
    stars = [args.vararg] if args.vararg else [], [args.kwarg] if args.kwarg else []
    return [[a.arg for a in part] for part in (args.posonlyargs, args.args, args.kwonlyargs, *stars)]


def _said(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr | None]:
    """Annotations and defaults, None where there is none, in the same places for the same parameters."""
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    given = [*positional, *a.kwonlyargs, *(p for p in (a.vararg, a.kwarg) if p)]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(a.defaults))
    return [*(p.annotation for p in given), function.returns, *missing, *a.defaults, *a.kw_defaults]
