"""What an action that edits is about, and how a model's answer fits into its place. Pure; any thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.definitions import decorators, is_overload, known_names, parameters, stands_apart
from gemma_lsp.features.actions.edits import Lines, Unusable
from gemma_lsp.features.actions.indenting import indented, parsed_answer, space_of, step_of
from gemma_lsp.features.actions.keeping import left_behind, says_less, signature_lines, with_comments
from gemma_lsp.features.actions.strings import documented_lines, string_lines
from gemma_lsp.features.actions.surroundings import definition_at
from gemma_lsp.prompt.tails import Selection
from gemma_lsp.syntax.context import indent_unit
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span, Text

MAX_LINES = 150  # of a definition that is rewritten as a whole
_NUMBER = re.compile(r" *\d+ \| ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A definition, or some lines where there is none around them (`symbol` is None)."""

    parsed: ParsedFile
    symbol: Symbol | None
    lines: Lines

    @property
    def name(self) -> str:
        """In words: the definition's name, or the lines."""
        if self.symbol is not None:
            return self.symbol.qualified
        first, last = self.lines.first + 1, self.lines.last + 1
        return f"line {first}" if first == last else f"lines {first} to {last}"

    @property
    def span(self) -> Span:
        """The lines with their line ends."""
        return self.lines.span(self.parsed.text)

    @property
    def indent(self) -> str:
        """White space before the first line."""
        return space_of(self.parsed.text.line(self.lines.first))

    @property
    def unit(self) -> str:
        """What one step more is indented by; "" where that is not known."""
        content = self.parsed.text.content
        if step := step_of([line.removeprefix(self.indent) for line in self.selection.lines]):
            return step
        tabs = "\n\t" in content and "\n    " not in content
        return "\t" if tabs else " " * indent_unit(self.parsed) if self.symbol is not None else ""

    @property
    def selection(self) -> Selection:
        """As a prompt shows it."""
        shown = tuple(self.parsed.text.line(n) for n in range(self.lines.first, self.lines.last + 1))
        symbol = self.symbol.qualified if self.symbol is not None else ""
        return Selection(path=self.parsed.path, symbol=symbol, first_line=self.lines.first + 1, lines=shown)

    @property
    def outline(self) -> Selection:
        """As a prompt shows it that need not show all: where it is long, without the bodies of what it defines."""
        whole, symbol, text = self.selection, self.symbol, self.parsed.text
        if symbol is None or len(whole.lines) <= MAX_LINES:
            return whole
        hidden: dict[int, str] = {}
        for inner in self.parsed.symbols:
            inside = symbol.start < inner.start and inner.span.end <= symbol.span.end
            if inside and inner.kind in (SymbolKind.FUNCTION, SymbolKind.METHOD) and stands_apart(self.parsed, inner):
                first, last = text.position(inner.body.start), text.position(inner.body.end - 1).line
                hidden |= dict.fromkeys(range(first.line + 1, last + 1), "")
                hidden[first.line] = text.line(first.line)[: first.column] + "..."
        numbers = range(self.lines.first, self.lines.last + 1)
        shown = [line for n in numbers if (line := hidden.get(n, text.line(n))) or n not in hidden]
        return replace(whole, lines=tuple(shown[:MAX_LINES]))

    @property
    def opening(self) -> str:
        """The start of the definition up to its name, which no rewriting changes, and the bracket that ends it."""
        if self.symbol is None:
            return ""
        start, end = self.parsed.text.line_span(self.lines.first).start, self.symbol.name_span.end
        content = self.parsed.text.content
        return content[start : end + (content[end : end + 1] in ("(", ":"))]

    @property
    def kept(self) -> frozenset[int]:
        """Lines that hold nothing but a comment, or the docstring: what a model leaves out of them stays."""
        text, first_line = self.parsed.text, self.lines.first
        shown = self.selection.lines
        strings = {n for run in string_lines(shown) for n in run}
        lines = {first_line + n for n, line in enumerate(shown) if line.lstrip().startswith("#") and n not in strings}
        if self.symbol is not None and self.symbol.docstring is not None:
            first, last = (text.position(at).line for at in (self.symbol.docstring.start, self.symbol.docstring.end))
            lines |= set(range(first, last + 1))
        return frozenset(lines)


def definition_target(parsed: ParsedFile, span: Span, *, whole: bool = True) -> Target | None:
    """The innermost definition around the whole span; None where there is none, or it is too long to be read whole."""
    symbol = definition_at(parsed, span)
    if symbol is None or not (symbol.span.start <= span.end and span.end <= symbol.span.end + 1):
        return None
    lines = _lines_of(parsed.text, symbol.span)
    short = lines.last - lines.first < MAX_LINES
    return Target(parsed=parsed, symbol=symbol, lines=lines) if short or not whole else None


def target_at(parsed: ParsedFile, span: Span) -> Target:
    """The definition, or else the selected lines. Raises `EditError` where neither is of a size to work on."""
    whole = definition_target(parsed, span)
    if whole is not None:
        return whole
    if not parsed.text.slice(span).strip():
        raise EditError("there is no definition here that is short enough; select the lines to work on")
    lines = _lines_of(parsed.text, span)
    if lines.last - lines.first >= MAX_LINES:
        raise EditError(f"the selection is too long; select at most {MAX_LINES} lines")
    return Target(parsed=parsed, symbol=None, lines=lines)


def fitted(code: str, target: Target) -> list[str]:
    """The lines of an answer that take the target's place, in its indentation. Raises `Unusable`."""
    lines = _without_numbers(code).split("\n")
    if target.symbol is not None:
        taken = _definition_lines(lines, target, target.symbol)
    else:
        taken = indented(lines, target.indent, target.unit, _shown_strings(target))
    return with_comments(taken, target.selection.lines)


def _shown_strings(target: Target) -> frozenset[str]:
    """The lines of the target that are text of a string, docstrings aside."""
    text, first = target.parsed.text, target.lines.first
    lines = [text.line(n) for n in range(first, target.lines.last + 1)]
    documented = documented_lines(target.parsed)
    inside = [n for run in string_lines(lines) for n in run if first + n not in documented]
    return frozenset(lines[n] for n in inside if lines[n].strip())


def _definition_lines(lines: Sequence[str], target: Target, symbol: Symbol) -> list[str]:
    """The lines of the definition of the same name, in the target's indentation.

    Without a docstring, or with fewer decorators, it gets those that stand there, as they stand there; so it does
    without annotations or defaults, if its parameters are the same.
    """
    answer = parsed_answer("\n".join(lines))
    found = _counterpart(answer, target, symbol)
    if found is None:
        raise Unusable(f"it does not define `{symbol.name}`")
    if lost := left_behind(answer, found, target.parsed):
        raise Unusable(f"it uses `{lost}`, which the file does not have; `{symbol.name}` must do without")
    chosen = _lines_of(answer.text, found.span)
    chosen_lines = [answer.text.line(n) for n in range(chosen.first, chosen.last + 1)]
    taken = indented(chosen_lines, target.indent, target.unit, _shown_strings(target))
    old = target.parsed.text
    signature_end, body = answer.text.position(found.signature.end).line, answer.text.position(found.body.start)
    if body.line > signature_end:
        below = signature_end + 1 - chosen.first
        space = space_of(taken[body.line - chosen.first])
        after = answer.text.position(found.docstring.end).line + 1 - chosen.first if found.docstring else below
        taken[after:after] = [space + line for line in _missing_imports(answer, found, target)]
        if symbol.docstring is not None and found.docstring is None:
            first, last = (old.position(at).line for at in (symbol.docstring.start, symbol.docstring.end))
            taken[below:below] = [old.line(n) for n in range(first, last + 1)]
    ours, theirs = signature_lines(answer, found), signature_lines(target.parsed, symbol)
    if ours and theirs and says_less(answer.text.slice(found.signature), old.slice(symbol.signature)):
        taken[ours.start - chosen.first : ours.stop - chosen.first] = [old.line(n) for n in theirs]
    above = old.content[old.line_span(target.lines.first).start : symbol.signature.start].split("\n")[:-1]
    standing, given = decorators(target.parsed, symbol), decorators(answer, found)
    bare = found.span.start == found.signature.start
    if bare or (len(given) < len(standing) and set(given) <= set(standing)):
        return above + taken[answer.text.position(found.signature.start).line - chosen.first :]
    return taken


def _counterpart(answer: ParsedFile, target: Target, symbol: Symbol) -> Symbol | None:
    """The definition of an answer that is meant: of several of its name, the one that is most like the target."""
    same = [s for s in answer.symbols if s.name == symbol.name and s.kind is not SymbolKind.VARIABLE]
    return max(same, key=lambda s: _likeness(answer, s, target.parsed, symbol), default=None)


def _likeness(answer: ParsedFile, found: Symbol, parsed: ParsedFile, symbol: Symbol) -> tuple[bool, bool, bool]:
    ours, theirs = (
        [p.name for p in parameters(file.text.slice(s.signature)) or ()]
        for file, s in ((parsed, symbol), (answer, found))
    )
    same_decorators = decorators(answer, found) == decorators(parsed, symbol)
    return (is_overload(answer, found) == is_overload(parsed, symbol), same_decorators, ours == theirs)


def _missing_imports(answer: ParsedFile, found: Symbol, target: Target) -> list[str]:
    """Imports above an answer's definition that it uses and its file lacks: they go inside, where they may stand."""
    known, code = known_names(target.parsed), answer.text.slice(found.span)
    missing = []
    for span in dict.fromkeys(i.span for i in answer.imports if i.span.end <= found.span.start):
        line = " ".join(answer.text.slice(span).split())
        bound = {
            part.split()[-1].partition(".")[0]
            for part in line.rpartition("import ")[2].strip("( )").split(",")
            if part.strip()
        }
        if any(name not in known and re.search(rf"\b{re.escape(name)}\b", code) for name in bound):
            missing.append(line)
    return missing


def _lines_of(text: Text, span: Span) -> Lines:
    start, end = text.position(span.start), text.position(span.end)
    return Lines(start.line, end.line - 1 if end.column == 0 and end.line > start.line else end.line)


def _without_numbers(code: str) -> str:
    """Code without the line numbers that a prompt may have shown."""
    lines = code.split("\n")
    if all(_NUMBER.match(line) for line in lines if line.strip()):
        lines = [_NUMBER.sub("", line, count=1) for line in lines]
    return "\n".join(lines)
