"""Where strings, comments and brackets begin and end, by scanning from the top: right for half-typed code too.

tree-sitter guesses around an unclosed quote or bracket; a cursor's context must not. Pure; any thread may call it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STRING_START = r"""(?:\b(?i:[bfrtu]|br|rb|fr|rf|tr|rt))?(?:\"\"\"|'''|"|')"""
_NEVER_IN_BRACKETS = (
    r"assert|break|class|continue|def|del|elif|except|finally|global|import|nonlocal|pass|raise|return|try|while|with"
)
_CODE = re.compile(
    rf"(?P<comment>\#[^\n]*)|(?P<string>{_STRING_START})|(?P<open>[(\[{{])|(?P<close>[)\]}}])"
    rf"|\n[ \t]*(?P<statement>(?:{_NEVER_IN_BRACKETS})\b)"
)
_FIELD = re.compile(rf"(?P<string>{_STRING_START})|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<spec>:)|(?P<end>\n)")
_STRING_EVENTS = {
    (quote, fields): re.compile(
        rf"(?P<skip>\\.{'|{{' if fields else ''})|(?P<end>{quote if len(quote) == 3 else quote + '|' + chr(10)})"
        + (r"|(?P<field>\{)" if fields else ""),
        re.DOTALL,
    )
    for quote in ('"""', "'''", '"', "'")
    for fields in (False, True)
}
_MAX_NESTING = 50  # nobody writes more; what lies deeper counts as text
_UNLIMITED = 1 << 60
_WORD = re.compile(r"\w")
_SPEC = re.compile(r"(?P<field>\{)|(?P<end>[}\n])")


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalState:
    """What surrounds an offset. Inside the braces of an f-string one is in code again."""

    in_string: bool
    in_comment: bool
    depth: int  # brackets that are open, those of f-string fields included
    groups: tuple[tuple[int, int], ...]  # outermost bracket pairs before the offset that span lines: (open, close)
    comments: tuple[int, ...]  # where comments before the offset begin


@dataclass(slots=True)
class _Scan:
    content: str
    stop: int
    at: int = 0
    brackets: list[int] = field(default_factory=list)
    groups: list[tuple[int, int]] = field(default_factory=list)
    comments: list[int] = field(default_factory=list)
    free: int = _UNLIMITED  # behind here the scan stops outside of brackets, or after so many events
    events: int = _UNLIMITED
    in_string: bool = False
    in_comment: bool = False
    in_fields: int = 0
    nesting: int = 0  # strings inside fields inside strings


def lexical_state(content: str, offset: int, start: int = 0) -> LexicalState:
    """Scans the code points from `start`, which is outside of strings, brackets and comments; 8 MB a second."""
    scan = _Scan(content, offset, start)
    _scan_code(scan)
    return LexicalState(
        in_string=scan.in_string,
        in_comment=scan.in_comment,
        depth=len(scan.brackets) + scan.in_fields,
        groups=tuple(scan.groups),
        comments=tuple(scan.comments),
    )


def closing(content: str, start: int, end: int, n_events: int) -> tuple[int | None, int]:
    """Where the string and the brackets that open behind `start` and are open at `end` are closed again, None where
    that is not seen within `n_events` strings and brackets; and how far it was looked for.

    A word right behind a string's end says that the quote was meant to open one: the string before was never closed.
    """
    scan = _Scan(content, len(content), start, free=end, events=n_events)
    _scan_code(scan)
    lost = scan.in_string or scan.in_fields or scan.brackets or scan.at < end
    return None if lost else scan.at, scan.at


def _scan_code(scan: _Scan) -> None:
    while scan.at < scan.stop and scan.events > 0 and (scan.at <= scan.free or scan.brackets):
        scan.events -= scan.at >= scan.free
        match = _CODE.search(scan.content, scan.at)
        if match is None or match.start() >= scan.stop:
            scan.at = scan.stop
            return
        if match.start() >= scan.free and not scan.brackets:
            scan.at = scan.free
            return
        scan.at = match.end()
        if match.lastgroup == "comment":
            scan.comments.append(match.start())
            scan.in_comment = scan.at >= scan.stop
        elif match.lastgroup == "string":
            _scan_string(scan, match.group())
            if scan.at > scan.free and _WORD.match(scan.content, scan.at):
                scan.in_string = True
                return
        elif match.lastgroup == "open":
            scan.brackets.append(match.start())
        elif match.lastgroup == "statement":
            scan.brackets.clear()  # a bracket above was never closed
        elif scan.brackets:
            _close(scan, match.start())


def _close(scan: _Scan, at: int) -> None:
    start = scan.brackets.pop()
    if not scan.brackets and scan.content.find("\n", start, at) >= 0:
        scan.groups.append((start, at))


def _scan_string(scan: _Scan, opening: str) -> None:
    """Goes to the end of a string, which for one quote is the line's end at the latest."""
    quote = opening.lstrip("bBfFrRtTuU")
    fields = scan.nesting < _MAX_NESTING and any(letter in "fFtT" for letter in opening[: -len(quote)])
    events = _STRING_EVENTS[quote, fields]
    if scan.at > scan.stop:  # in the middle of the opening; before its first quote one is still in code
        scan.in_string = scan.stop > scan.at - len(quote)
    while scan.at <= scan.stop:
        match = events.search(scan.content, scan.at)
        if match is None or match.end() > scan.stop:  # in the middle of the closing quotes is still inside
            scan.in_string = True
            scan.at = scan.stop
            return
        scan.at = match.end()
        if match.lastgroup == "end":
            if match.group() == "\n":
                scan.at -= 1  # the next statement's line end
            return
        if match.lastgroup == "field" and not _scan_field(scan, multiline=len(quote) == 3):
            return


def _scan_field(scan: _Scan, *, multiline: bool) -> bool:
    """Goes to the end of an f-string's field. False where the string ends with it, or the scan."""
    depth = 0
    while scan.at < scan.stop:
        match = _FIELD.search(scan.content, scan.at)
        if match is None or match.start() >= scan.stop:
            break
        scan.at = match.end()
        kind = match.lastgroup
        if kind == "string":
            scan.nesting += 1
            _scan_string(scan, match.group())
            scan.nesting -= 1
            if scan.in_string:
                scan.in_fields += depth + 1
                return False
        elif kind == "open":
            depth += 1
        elif kind == "close":
            if depth == 0:
                return True
            depth -= 1
        elif kind == "end" and not multiline:
            scan.at -= 1
            return False
        elif kind == "spec" and depth == 0:
            return _scan_spec(scan, multiline=multiline)
    scan.at = scan.stop
    scan.in_fields += depth + 1
    return False


def _scan_spec(scan: _Scan, *, multiline: bool) -> bool:
    """Goes over a format specification, which is text with fields of its own."""
    while scan.at < scan.stop:
        match = _SPEC.search(scan.content, scan.at)
        if match is None or match.start() >= scan.stop:
            break
        scan.at = match.end()
        if match.lastgroup == "field":
            scan.nesting += 1
            goes_on = scan.nesting > _MAX_NESTING or _scan_field(scan, multiline=multiline)
            scan.nesting -= 1
            if not goes_on:
                return False
        elif match.group() == "}":
            return True
        elif not multiline:
            scan.at -= 1
            return False
    scan.at = scan.stop
    scan.in_string = True
    return False
