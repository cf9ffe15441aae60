"""What surrounds a place in a parsed file: the definition, the chunk, and the structure at a cursor. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from gemma_lsp.syntax.lexical import LexicalState, lexical_state
from gemma_lsp.syntax.types import Chunk, ChunkKind, ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Position, Span, Text

_EMPTY_STATEMENTS = frozenset({"", "pass", "..."})


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorContext:
    """The structure at a cursor, for deciding what a completion may be. Right for half-typed code too."""

    mid_line: bool  # something other than white space stands to the right
    in_string: bool
    in_comment: bool
    in_brackets: bool
    block_start: bool  # on a blank line under a header (`def`, `if`, `for`, ...) whose block is still empty
    empty_body: bool  # the enclosing definition holds nothing yet but a docstring, comments, `pass` or `...`
    after_docstring: bool  # nothing but blank lines and comments since the enclosing definition's docstring
    indent: int  # code points of indentation that a statement at the cursor has, or should have at a block's start
    enclosing: Symbol | None  # class or function around the cursor, by indentation where its body has ended


def innermost(parsed: ParsedFile, offset: int) -> Symbol | None:
    """The innermost class or function around an offset; one that ends exactly there counts."""
    found = None
    for symbol in parsed.symbols:
        if symbol.start > offset:
            break
        if symbol.kind is not SymbolKind.VARIABLE and offset <= symbol.span.end:
            found = symbol
    return found


def enclosing_chunk(parsed: ParsedFile, offset: int) -> Chunk:
    """The chunk that holds an offset; at the file's end the last one, in an empty file an empty one."""
    if not parsed.chunks:
        return Chunk(kind=ChunkKind.HEAD, symbol="", span=Span(0, 0))
    at = bisect_right(parsed.chunks, offset, key=lambda chunk: chunk.span.start) - 1
    return parsed.chunks[max(0, at)]


def cursor_context(parsed: ParsedFile, position: Position) -> CursorContext:
    """The structure at a position of a Python file; of another file, only what its line says."""
    text = parsed.text
    offset = text.offset(position)
    position = text.position(offset)
    line = text.line(position.line)
    before, after = line[: position.column], line[position.column :]
    own_indent = _indent(before) if not before.strip() else _indent(line)
    if parsed.language != "python":
        return _plain(bool(after.strip()), own_indent)
    lexical = lexical_state(text.content, offset, _code_start(parsed, offset))
    in_code = not (lexical.in_string or lexical.in_comment)
    header = _header_above(text, position.line, lexical) if in_code and not line.strip() else None
    block_start = header is not None and _block_is_empty(text, position.line, header)
    indent = max(own_indent, header + indent_unit(parsed)) if block_start and header is not None else own_indent
    if in_code and not line:
        indent = max(indent, _column_of_lone_docstring(parsed, position.line))
    enclosing = _enclosing(parsed, offset, indent)
    return CursorContext(
        mid_line=bool(after.strip()),
        in_string=lexical.in_string,
        in_comment=lexical.in_comment,
        in_brackets=lexical.depth > 0,
        block_start=block_start,
        empty_body=enclosing is not None and _is_empty(text, enclosing, offset),
        after_docstring=in_code and enclosing is not None and _follows_docstring(text, enclosing, offset),
        indent=indent,
        enclosing=enclosing,
    )


def _code_start(parsed: ParsedFile, offset: int) -> int:
    """A place before the offset that is certainly outside of strings and brackets: the start of the definition
    around it, or around the first place where tree-sitter had to guess.
    """
    certain = min([offset, *(span.start for span in parsed.error_spans[:1])])
    at = bisect_right(parsed.chunks, certain, key=lambda chunk: chunk.span.start) - 1
    while at > 0 and parsed.chunks[at].symbol == parsed.chunks[at - 1].symbol:
        at -= 1
    return parsed.chunks[at].span.start if at > 0 else 0


def _plain(mid_line: bool, indent: int) -> CursorContext:
    return CursorContext(
        mid_line=mid_line,
        in_string=False,
        in_comment=False,
        in_brackets=False,
        block_start=False,
        empty_body=False,
        after_docstring=False,
        indent=indent,
        enclosing=None,
    )


def _header_above(text: Text, line: int, lexical: LexicalState) -> int | None:
    """Indentation of the header that the nearest code above ends, or None where that is no header."""
    if lexical.depth:
        return None
    comments = {text.position(start).line: start for start in lexical.comments[-200:]}
    for above in range(line - 1, -1, -1):
        span = text.line_span(above)
        code = text.slice(Span(span.start, comments.get(above, span.end))).rstrip()
        if code:
            return _indent(text.line(_first_line(text, above, lexical))) if code.endswith(":") else None
    return None


def _column_of_lone_docstring(parsed: ParsedFile, line: int) -> int:
    """Indentation of the docstring right above, at most one blank line between, if a function holds nothing else; or 0.

    Its first statement is still missing, whatever the column of an empty line may be.
    """
    text = parsed.text
    above = next((n for n in range(line - 1, max(-1, line - 3), -1) if text.line(n).strip()), None)
    for symbol in parsed.symbols if above is not None else ():
        docstring = symbol.docstring
        if docstring is None or symbol.kind not in (SymbolKind.FUNCTION, SymbolKind.METHOD):
            continue
        ends_here = text.position(docstring.end).line == above and symbol.span.end == docstring.end
        below = next((n for n in range(line + 1, text.n_lines) if text.line(n).strip()), None)
        if ends_here and (below is None or not text.line(below).startswith((" ", "\t"))):
            return text.position(docstring.start).column
    return 0


def _first_line(text: Text, line: int, lexical: LexicalState) -> int:
    """The line on which the statement begins whose last line is given: brackets may span lines."""
    for opening, closing in reversed(lexical.groups):
        if text.position(closing).line == line:
            line = text.position(opening).line
        elif text.position(closing).line < line:
            break
    return line


def _block_is_empty(text: Text, line: int, header_indent: int) -> bool:
    """Whether the next line that holds something is not indented deeper than the header."""
    for below in range(line + 1, text.n_lines):
        content = text.line(below)
        if content.strip():
            return _indent(content) <= header_indent
    return True


def _enclosing(parsed: ParsedFile, offset: int, indent: int) -> Symbol | None:
    """The definition around a place; at white space after one's end, the one that the indentation continues."""
    text, found = parsed.text, innermost(parsed, offset)
    for symbol in parsed.symbols:
        if symbol.kind is SymbolKind.VARIABLE or symbol.span.end > offset or symbol.signature.end > offset:
            continue
        if found is not None and symbol.start <= found.span.start:
            continue
        column = text.position(symbol.signature.start).column
        if column < indent and _is_blank(text, symbol.span.end, offset):
            found = symbol
    return found


def _is_blank(text: Text, start: int, offset: int) -> bool:
    """Whether the lines between two places hold nothing but white space and comments."""
    first, last = text.position(start).line + 1, text.position(offset).line
    return all(_is_blank_line(text.line(line)) for line in range(first, last))


def _is_blank_line(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _is_empty(text: Text, symbol: Symbol, offset: int) -> bool:
    """Whether the definition has no statement yet, the cursor's own half-typed line aside."""
    start = symbol.docstring.end if symbol.docstring else symbol.signature.end
    if offset < symbol.signature.end:
        return False
    end = max(symbol.span.end, start)
    own = text.position(offset).line
    first, last = text.position(start).line, text.position(end).line
    for line in range(first, last + 1):
        span = text.line_span(line)
        code = text.slice(Span(min(max(span.start, start), span.end), span.end))
        if line != own and code.partition("#")[0].strip() not in _EMPTY_STATEMENTS:
            return False
    return True


def _follows_docstring(text: Text, symbol: Symbol, offset: int) -> bool:
    if symbol.docstring is None or symbol.docstring.end > offset:
        return False
    between = text.slice(Span(symbol.docstring.end, offset))
    return all(_is_blank_line(line) for line in between.split("\n")) and "\n" in between


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def indent_unit(parsed: ParsedFile) -> int:
    """What the file indents by: the first definition with a body of its own lines says it; else 4, or one tab."""
    for symbol in parsed.symbols:
        body = parsed.text.position(symbol.body.start)
        header = parsed.text.position(symbol.signature.start)
        if len(symbol.body) and body.line > parsed.text.position(symbol.signature.end).line:
            return max(1, body.column - header.column)
    return 1 if "\n\t" in parsed.text.content else 4
