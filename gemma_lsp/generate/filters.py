"""What a completion must survive before it is shown. Each filter is a pure function: the text, shortened, or why not.

They run in the order of `ALL` on the finished completion. Nothing shown is better than noise. The thresholds are those
that other completion tools settled on, to be tuned by the completion bench. Any thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_lsp.generate.distance import distance
from gemma_lsp.generate.repetition import loop_size
from gemma_lsp.generate.stream import AnswerParser, without_fence
from gemma_lsp.prompt.frame import FILE_MARK, OWN_LINES
from gemma_lsp.syntax.lexical import lexical_state

_CLOSERS = ")]}"
_REPEATED_LINES = 3
_COMPARED_LINES = 3  # of the suffix, at least two; edits allowed: one, or a twentieth of the text
_VALUE = re.compile(r"""\s*(?:\[\]|\{\}|\(\)|""|''|\.\.\.)[),]*""")
_AWAITS_VALUE = re.compile(r"(?:[=(\[{,:]|\b(?:return|yield|or|and|else|in|not))\s*\Z")
_LEAST_OVERLAP = 4  # letters that must agree before they count as said twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The file around the cursor. `parses` says whether a whole file's text is free of syntax errors."""

    before: str
    after: str
    parses: Callable[[str], bool]

    @property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before.rpartition("\n")[2]

    @property
    def rest(self) -> str:
        """The cursor's line from the cursor on."""
        return self.after.partition("\n")[0]

    @property
    def lines_below(self) -> list[str]:
        """The lines after the cursor's that are not blank, without trailing space."""
        return [line.rstrip() for line in self.after.partition("\n")[2].split("\n") if line.strip()]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a completion is not shown."""

    reason: str


Filter = Callable[[str, Around], str | Dropped]


def run_filters(text: str, around: Around, filters: Sequence[Filter] | None = None) -> str | Dropped:
    """The text after all filters, or the first reason to drop it."""
    for accept in ALL if filters is None else filters:
        kept = accept(text, around)
        if isinstance(kept, Dropped):
            return kept
        text = kept
    return text


def no_markers(text: str, around: Around) -> str | Dropped:
    """Cuts control tokens that were written as text, thoughts, and a Markdown fence."""
    parser = AnswerParser()
    pieces = [*parser.feed(text), *parser.finish()]
    said = "".join(piece.text for piece in pieces if not piece.thinking)
    return without_fence(said, around.before) if "```" in said else said


def no_frame(text: str, around: Around) -> str | Dropped:
    """Cuts where the model goes on with the prompt's own frame: the next file's header, the next heading."""
    first = text.lstrip().partition("\n")[0].rstrip()
    if f"\n{first}\n".startswith(OWN_LINES):
        return ""
    at = min((i for mark in (FILE_MARK, "\n### ", "\n## ") if (i := text.find(mark)) >= 0), default=len(text))
    return text[:at].rstrip() if at < len(text) else text


def no_loop(text: str, around: Around) -> str | Dropped:
    """Drops a text that has begun to repeat itself without end; of a line that comes again and again, keeps one."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        following = lines[i : i + _REPEATED_LINES]
        if line.strip() and len(following) == _REPEATED_LINES and {line.strip()} == {x.strip() for x in following}:
            return "\n".join(lines[: i + 1])
    return Dropped("repetition") if loop_size(text.rstrip()) else text


def no_trailing_space(text: str, around: Around) -> str | Dropped:
    """Cuts white space at the end."""
    return text.rstrip()


def not_the_suffix(text: str, around: Around) -> str | Dropped:
    """Cuts what the lines below already say; drops a text whose start is nearly what follows."""
    below = around.lines_below
    if not below:
        return text
    lines = text.split("\n")
    whole = [around.line_before + lines[0], *lines[1:]]
    for n in range(len(lines), 0, -1):
        tail = [line.rstrip() for line in whole[len(lines) - n :] if line.strip()]
        if tail and tail == below[: len(tail)] and not (n == 1 and _is_closer(tail[0]) and _closes_own(text)):
            text = "\n".join(lines[: len(lines) - n]).rstrip()
            return text or Dropped("stands below")
    said = "\n".join(line.strip() for line in whole[:_COMPARED_LINES] if line.strip())
    there = "\n".join(line.strip() for line in below[: said.count("\n") + 1])
    return Dropped("stands below") if "\n" in said and _is_close(said, there) else text


def not_the_rest_of_the_line(text: str, around: Around) -> str | Dropped:
    """Cuts at the end what the rest of the cursor's line says anyway; closers only where the text did not open them."""
    rest = around.rest.strip()
    first, newline, more = text.partition("\n")
    if not rest or newline:
        return text if not rest or more.strip() else first
    kept = first.rstrip()
    for n in range(min(len(kept), len(rest)), 0, -1):
        starts = kept.endswith(rest[:n]) and (n >= _LEAST_OVERLAP or not _says_something(rest[:n]))
        ends = kept.endswith(rest[-n:]) and not _says_something(rest[-n:])
        whole = n == len(rest) and kept.endswith(rest) and not _splits_word(kept, n)
        if (starts or ends or whole) and _may_go(kept, n):
            return kept[: len(kept) - n].rstrip()
    return text


def not_the_line_above(text: str, around: Around) -> str | Dropped:
    """Drops a completion that makes the cursor's line a copy of the one above."""
    above = around.before.split("\n")[:-1]
    previous = next((line for line in reversed(above) if line.strip()), "")
    first = around.line_before + text.partition("\n")[0]
    repeats = first.strip() and first.rstrip() == previous.rstrip() and not _is_closer(first)
    return Dropped("repeats the line above") if repeats else text


def no_second_closer(text: str, around: Around) -> str | Dropped:
    """Cuts a last line that only closes what the next line closes already."""
    head, newline, last = text.rpartition("\n")
    below = around.lines_below
    if newline and _is_closer(last) and below and last.rstrip() == below[0] and not _closes_own(text):
        return head.rstrip()
    return text


def indented_below_its_header(text: str, around: Around) -> str | Dropped:
    """Drops a block that does not go on with the white space of the header on the cursor's line, in the file's kind."""
    line = around.line_before
    following = [more for more in text.split("\n")[1:] if more.strip()]
    if line.rstrip().endswith(":") and following and not text.partition("\n")[0].strip():
        header, block = _space(line), _space(following[0])
        if block == header or not block.startswith(header):
            return Dropped("wrong indentation")
        kind = header[-1:] or _kind_of_space(around)
        if kind and block[len(header)] != kind:
            return Dropped("wrong indentation")
    return text


def no_mixed_indentation(text: str, around: Around) -> str | Dropped:
    """Drops lines whose tabs and spaces cannot be compared with those of the line above, as Python must."""
    lines = text.split("\n")
    above = next((line for line in reversed(around.before.split("\n")[:-1]) if line.strip()), "")
    if not any("\t" in _space(line) for line in (above, around.line_before, *lines)):
        return text
    previous, offset = _space(around.line_before if around.line_before else above), 0
    for n, line in enumerate(lines):
        state = lexical_state(text, offset)
        offset += len(line) + 1
        if not line.strip() or state.in_string or state.depth or (n == 0 and around.line_before):
            continue
        space = _space(line)
        if not (space.startswith(previous) or previous.startswith(space)):
            return Dropped("wrong indentation")
        previous = space
    return text


def not_trivial(text: str, around: Around) -> str | Dropped:
    """Drops what says nothing: white space, or punctuation that is neither an empty value nor a missing last line."""
    if not text.strip():
        return Dropped("empty")
    says = _says_something(text) or _is_value(text, around) or _completes(text, around)
    return text if says else Dropped("trivial")


def no_closer_of_nothing(text: str, around: Around) -> str | Dropped:
    """Cuts closers at the end that nothing opened, with which a file that parsed before does not parse.

    What is left may stand below.
    """
    if not around.parses(around.before + around.after):
        return text
    shorter = text
    while not around.parses(around.before + _finished(shorter, around) + around.after):
        if not shorter.endswith(tuple(_CLOSERS)):
            return text
        shorter = shorter[:-1].rstrip()
    return not_the_suffix(shorter, around) if shorter and shorter != text else text


def still_parses(text: str, around: Around) -> str | Dropped:
    """Drops, after trying without its last lines, a text that breaks a file that parsed before."""
    if not around.parses(around.before + around.after):
        return text
    lines = text.split("\n")
    for n in range(len(lines), 0, -1):
        shorter = "\n".join(lines[:n]).rstrip()
        if n == 1 < len(lines):  # its closers were taken for the text's own, which went on behind them
            kept = not_the_rest_of_the_line(shorter, around)
            shorter = kept if isinstance(kept, str) else shorter
        if shorter and around.parses(around.before + _finished(shorter, around) + around.after):
            return shorter
    return Dropped("does not parse")


ALL: tuple[Filter, ...] = (
    no_markers,
    no_frame,
    no_loop,
    no_trailing_space,
    not_the_suffix,
    not_the_rest_of_the_line,
    no_closer_of_nothing,
    no_second_closer,
    not_the_line_above,
    indented_below_its_header,
    no_mixed_indentation,
    not_trivial,
    still_parses,
)


def _is_value(text: str, around: Around) -> bool:
    """Whether it is a value without a letter, such as an empty list, where the code before asks for a value."""
    if not _VALUE.fullmatch(text) or not _AWAITS_VALUE.search(around.line_before):
        return False
    state = lexical_state(around.before, len(around.before))
    return not state.in_string and not state.in_comment


def _completes(text: str, around: Around) -> bool:
    """Whether a file with syntax errors has none with the text in it, which begins a line."""
    whole = around.before + text + around.after
    return not around.line_before.strip() and not around.parses(around.before + around.after) and around.parses(whole)


def _finished(text: str, around: Around) -> str:
    """The text with what a person would type next: the brackets it left open, or a block after its header."""
    closing: list[str] = []
    for c in text:
        if c in "([{":
            closing.append({"(": ")", "[": "]", "{": "}"}[c])
        elif c in _CLOSERS and closing:
            closing.pop()
    depth = lexical_state(text, len(text)).depth  # brackets inside strings are none
    text += "".join(reversed(closing[len(closing) - depth :] if depth else ()))
    last = text.rpartition("\n")[2] if "\n" in text else around.line_before + text
    needs_block = last.rstrip().endswith(":") and not around.rest.strip()
    below = around.after.partition("\n")[2].split("\n")
    following = next((line for line in below if line.strip()), "")
    return f"{text} pass" if needs_block and _indent(following) <= _indent(last) else text


def _is_closer(line: str) -> bool:
    return bool(line.strip()) and all(c in ")]},: " for c in line.strip())


def _unopened(text: str) -> int:
    """How many brackets the text closes without having opened them."""
    depth = spare = 0
    for c in text:
        if c in "([{":
            depth += 1
        elif c in _CLOSERS:
            spare, depth = (spare, depth - 1) if depth else (spare + 1, 0)
    return spare


def _says_something(text: str) -> bool:
    return any(c.isalnum() for c in text)


def _may_go(text: str, n: int) -> bool:
    """Whether the last `n` characters close nothing that the text itself opened."""
    end, left = text[len(text) - n :], text[: len(text) - n]
    quotes_closed = all(left.count(quote) % 2 == 0 for quote in "\"'" if quote in end)
    return _unopened(text) >= _unopened(end) and quotes_closed


def _splits_word(text: str, n: int) -> bool:
    """Whether the last `n` characters begin in the middle of a word."""
    return (text[: len(text) - n][-1:] + text[len(text) - n]).isidentifier() and n < len(text)


def _closes_own(text: str) -> bool:
    return _unopened(text) == 0


def _is_close(a: str, b: str) -> bool:
    """Whether few enough edits lead from one to the other."""
    allowed = max(1, len(a) // 20)
    return abs(len(a) - len(b)) <= allowed and distance(a, b) <= allowed


def _indent(line: str) -> int:
    return len(_space(line))


def _space(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _kind_of_space(around: Around) -> str:
    """What most lines of the file begin with, if they begin with white space."""
    tabs, spaces = (around.before.count(kind) + around.after.count(kind) for kind in ("\n\t", "\n "))
    return "" if not tabs and not spaces else "\t" if tabs > spaces else " "
