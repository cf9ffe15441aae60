"""An edit of one file: made line by line from what should stand there, checked, and shown as a diff. Pure; any thread.

Whatever a model wrote, an edit changes nothing outside the lines that it was asked for, and the file still parses.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.actions.strings import string_lines
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Edit, Span, Text


class Unusable(Exception):
    """What a model wrote cannot be used; the message says why, for the model and for a person."""


class Unchanged(Unusable):
    """What a model wrote is what stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An edit of one file. `edits` refer to `base`, are in order and do not overlap; a file that `creates` is new."""

    path: str
    label: str
    base: Text
    edits: tuple[Edit, ...]
    creates: bool = False
    thinking: str = ""
    cost: Cost = field(default_factory=Cost)

    @property
    def after(self) -> Text:
        """What the file reads like with it."""
        return self.base.with_edits(self.edits)

    def diff(self) -> str:
        """A unified diff, without its two header lines where the file is new to nobody."""
        before, after = self.base.content.splitlines(), self.after.content.splitlines()
        name = "/dev/null" if self.creates else f"a/{self.path}"
        return "\n".join(difflib.unified_diff(before, after, name, f"b/{self.path}", lineterm=""))


@dataclass(frozen=True, slots=True)
class Lines:
    """A run of whole lines of a text: `first` to `last`, counted from 0, both included."""

    first: int
    last: int

    def span(self, text: Text) -> Span:
        """The lines with their line ends."""
        end = text.line_span(self.last).end
        return Span(text.line_span(self.first).start, min(end + 1, len(text.content)))


def line_edits(
    base: Text, lines: Lines, wanted: Sequence[str], *, keep: frozenset[int] = frozenset()
) -> tuple[Edit, ...]:
    """The least edits, in whole lines, that turn the run of lines into the wanted ones.

    White space at a line's end is no difference. Lines in `keep` and blank ones are not deleted for nothing in their
    place, nor are blank ones put in, and comments in `keep` stay around lines that change unless others are given:
    a model that leaves out a comment does not mean it. One that stands elsewhere in the wanted lines was not left out.
    """
    old = [base.line(n) for n in range(lines.first, lines.last + 1)]
    keys, wanted_keys = [line.rstrip() for line in old], [line.rstrip() for line in wanted]
    keep = frozenset(n - lines.first for n in keep) - _given(keys, wanted_keys)
    kept_comments, comments = _comments(keys) & keep, _comments(wanted_keys)
    ends_file = lines.last + 1 >= base.n_lines
    edits = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, keys, wanted_keys, autojunk=False).get_opcodes():
        if tag == "equal" or (tag == "insert" and not any(wanted_keys[j1:j2])):
            continue
        if tag == "delete" and all(not old[i].strip() or i in keep for i in range(i1, i2)):
            continue
        if tag == "replace" and comments.isdisjoint(range(j1, j2)):
            changed = [i for i in range(i1, i2) if i not in kept_comments]
            i1, i2 = (changed[0], changed[-1] + 1) if changed else (i2, i2)
        text = "".join(key + "\n" for key in wanted_keys[j1:j2])
        start = _start(base, lines.first + i1)
        end = _start(base, lines.first + i2)
        if ends_file and i2 == len(old):
            text, start = _at_end(base, text, start, inserts=i1 == i2, floor=_start(base, lines.first))
        edits.append(Edit(Span(start, end), text))
    return tuple(edits)


def check(path: str, base: Text, edits: Sequence[Edit], allowed: Span) -> None:
    """Raises `Unusable` unless the edits change something, stay inside, and leave a file that parses as it did."""
    after = base.with_edits(edits)
    if after.content == base.content:
        raise Unchanged("it is the code as it stands")
    if any(edit.span.start < allowed.start or edit.span.end > allowed.end for edit in edits):
        raise Unusable("it changes code that was not asked about")
    before_errors, errors = parse(path, base).error_spans, parse(path, after).error_spans
    if len(errors) > len(before_errors):
        place = after.position(errors[0].start)
        raise Unusable(f"it is not valid Python near `{after.line(place.line).strip()[:80]}`")
    if (complaint := _compiler_says(after)) and not _compiler_says(base):
        raise Unusable(complaint)


def same_code(before: Text, after: Text) -> bool:
    """Whether two texts differ in nothing but comments and formatting, as far as Python can read them."""
    trees = []
    for text in (before, after):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trees.append(ast.dump(ast.parse(text.content)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return trees[0] == trees[1]


def _compiler_says(text: Text) -> str:
    """What Python itself has against a text, or "": it also knows of indentation, and where `return` may stand."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text.content, "answer", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = text.line(error.lineno - 1).strip() if error.lineno else ""
        return f"Python says: {error.msg}, at `{line[:80]}`"
    except (ValueError, RecursionError, MemoryError):
        return ""
    return ""


def _comments(lines: Sequence[str]) -> set[int]:
    """Those of some lines that hold nothing but a comment."""
    text = {n for run in string_lines(lines) for n in run}
    return {n for n, line in enumerate(lines) if line.lstrip().startswith("#") and n not in text}


def _given(old: Sequence[str], wanted: Sequence[str]) -> set[int]:
    """The comments among the old lines that the wanted ones have as often: there, elsewhere, behind code, as code."""
    return {n for n in _comments(old) if _said(old[n].strip(), wanted) >= _said(old[n].strip(), old)}


def _said(comment: str, lines: Sequence[str]) -> int:
    """How many lines end with a comment, or are the code in it."""
    code = comment.lstrip("# ")
    return sum(line.endswith(comment) or line.strip() == code != "" for line in lines)


def _start(base: Text, line: int) -> int:
    return base.line_span(line).start if line < base.n_lines else len(base.content)


def _at_end(base: Text, text: str, start: int, *, inserts: bool, floor: int) -> tuple[str, int]:
    """The last line of a file without a line end keeps none; what comes behind it begins with one."""
    if not text:
        return "", max(floor, start - 1)
    if inserts:
        return "\n" + text.removesuffix("\n"), len(base.content)
    return text.removesuffix("\n"), start
