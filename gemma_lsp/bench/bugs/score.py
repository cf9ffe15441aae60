"""What an answer about a bug is worth: does the corrected file pass, and does the explanation name the line? Blocks."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Sequence

from gemma_lsp.bench.bugs.tasks import BugTask
from gemma_lsp.bench.child import run_python

_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)")
_LINE_NUMBER = re.compile(r"\blines?\s+(\d+)(?:\s*(?:-|to|and)\s*(\d+))?", re.IGNORECASE)
_FENCE = re.compile(r"(?ms)^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$")
_SHORT_BLOCK = 3  # lines; a longer block or run of numbers is all of the code and names no line
_LEAST = 0.6  # of a line that a quote must hold to be one of that line, and of the quote that is the line; guessed
_LEAST_QUOTE = 4  # characters; less is found everywhere


def parses(code: str) -> bool:
    """Whether Python can read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def passes(task: BugTask, code: str) -> bool:
    """Whether a whole file passes the task's tests, in a child process with limits."""
    return run_python(f"{code}\n\n{task.test}\n").done


def code_of_answer(task: BugTask, answer: str) -> str | None:
    """What a raw answer proposes: its first complete block that defines the function anew, behind the file as it was.

    The file comes first so that a block without the imports is not failed for them.
    """
    for block in _FENCE.findall(answer if answer.endswith("\n") else answer + "\n"):
        if re.search(rf"(?m)^def {re.escape(task.name)}\b", block) and not _same(block, task.buggy):
            return f"{task.buggy}\n\n{block}"
    return None


def named_lines(words: str, code: Sequence[str]) -> frozenset[int]:
    """The lines, counted from 0, that a text names: by number, or by quoting most of them."""
    found: set[int] = set()
    quotes = [match.group(2) for match in _INLINE.finditer(_FENCE.sub("", words))]
    for block in _FENCE.findall(words):
        lines = [line for line in block.split("\n") if line.strip()]
        quotes += lines if len(lines) <= _SHORT_BLOCK else []
    keys = [_squeezed(line) for line in code]
    for quote in quotes:
        said = " ".join(re.sub(r"^\s*\d+ \| ?", "", quote).split())
        key = _squeezed(said)
        found |= {n for n, line in enumerate(keys) if len(said) >= _LEAST_QUOTE and _quotes(key, line)}
    for first, last in _LINE_NUMBER.findall(_FENCE.sub("", words)):
        numbers = range(int(first), int(last or first) + 1)
        found |= {n - 1 for n in numbers if 0 < n <= len(code) and len(numbers) <= _SHORT_BLOCK}
    return frozenset(found)


def names_change(words: str, code: Sequence[str], changed: Collection[int]) -> bool:
    """Whether one of the lines that a text names is one that the correction changes."""
    return not named_lines(words, code).isdisjoint(changed)


def _quotes(key: str, line: str) -> bool:
    short, long = sorted((key, line), key=len)
    return bool(short) and short in long and len(short) >= _LEAST * len(long)


def _squeezed(line: str) -> str:
    return "".join(line.split()).rstrip(".,;:")


def _same(block: str, whole: str) -> bool:
    """Whether a block is code that stands in the file as it is."""
    return _squeezed(block) in _squeezed(whole)
