"""From the model's stream of text to thoughts and answer, while it comes in; no marker and no half of one gets out.

Deliberately not here: where a completion ends (`stops`) and whether it is worth showing (`filters`). Any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemma_lsp.syntax.lexical import lexical_state

_OPEN = ("<|channel>thought\n", "<|channel>thought", "<|channel>", "<think>")
_CLOSE = ("<channel|>", "</think>")
_END = (
    "<turn|>",
    "<end_of_turn>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|end|>",
    "<|fim_pad|>",
    "<|file_sep|>",
    "<|file_separator|>",
    "<|repo_name|>",
    "<eos>",
    "</s>",
)
_NOISE = ("<|turn>", "<start_of_turn>", "<|think|>", "<bos>", "<|tool_call>", "<tool_call|>")
_GENERIC = re.compile(r"<\|[a-z][a-z0-9_]*\|>")  # the shape that most vocabularies give their control tokens
_GENERIC_START = re.compile(r"<(\|([a-z][a-z0-9_]{0,30}\|?)?)?\Z")
_FENCE_LINE = re.compile(r"(?m)^(?P<lead>[^`\n]*)`{3,}[A-Za-z]*[ \t]*$")
_OPENED = re.compile(r"\s*`{3,}[A-Za-z]*[ \t]*\n")
_OPENED_LINE = re.compile(r"(?m)^`{3,}[^`\n]*\n")
_CLOSED = re.compile(r"(?m)^[ \t]*```")
_MARKERS = re.compile("|".join(map(re.escape, (*_OPEN, *_CLOSE, *_END, *_NOISE))) + "|" + _GENERIC.pattern)
_EVERY = (*_OPEN, *_CLOSE, *_END, *_NOISE)


@dataclass(frozen=True, slots=True)
class Piece:
    """More of an answer, or of the thoughts before it."""

    text: str
    thinking: bool = False


class AnswerParser:
    """Splits one answer. Feed it what arrives; after `ended` nothing more comes out.

    Invariant: the pieces' texts, joined, are the answer without markers, whatever way it was cut when fed.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking = thinking
        self._held = ""
        self._blank = True  # nothing but white space so far in this mode
        self.ended = False

    @property
    def thinking(self) -> bool:
        """Whether the model is in its thoughts now."""
        return self._thinking

    def feed(self, text: str) -> list[Piece]:
        """What is certain after more text."""
        self._held += text
        return self._drain(final=False)

    def finish(self) -> list[Piece]:
        """What was held back and turned out to be no marker."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while not self.ended and (found := _MARKERS.search(self._held)):
            if not final and _may_grow(self._held[found.start() :]):
                break
            pieces += self._piece(self._held[: found.start()])
            self._held = self._held[found.end() :]
            self._meet(found.group())
        if self.ended:
            self._held = ""
            return pieces
        sure = len(self._held) - (_partial(self._held) if final else _withheld(self._held))
        pieces += self._piece(self._held[:sure])
        self._held = "" if final else self._held[sure:]
        return pieces

    def _meet(self, marker: str) -> None:
        if marker in _OPEN or marker in _CLOSE:
            self._thinking, self._blank = marker in _OPEN, True
        elif marker in _END:
            self.ended = True

    def _piece(self, text: str) -> list[Piece]:
        """The text in the present mode; blank lines before its first word are dropped in thoughts and after them."""
        if self._thinking and self._blank:
            text = text.lstrip("\n")
        self._blank = self._blank and not text.strip()
        return [Piece(text, self._thinking)] if text else []


def without_fence(code: str, before: str = "") -> str:
    """The code inside a Markdown fence that the model put around its answer; other code as it is.

    A fence in a string of the code, such as an example in a docstring, is no end. `before`: the code that this
    continues, if any.
    """
    opened = _OPENED.match(code)
    if opened:
        code, before = code[opened.end() :], ""
    end = _closing(code, before)
    return code if end is None else code[:end]


def fenced_code(text: str) -> str:
    """The code of an answer: what stands in its first fence, or all of it where there is none."""
    for line in _FENCE_LINE.finditer(text):
        if not line["lead"].rstrip().endswith(("'", '"')) and not _in_string(text, line.start()):
            return without_fence(text[line.end("lead") :])
    return without_fence(text)


def fence_is_closed(text: str) -> bool:
    """Whether a fence at the start of a line was opened and closed again."""
    opened = _OPENED_LINE.search(text)
    return opened is not None and _closing(text[opened.end() :], "") is not None


def _closing(code: str, before: str) -> int | None:
    """Where the first fence stands that is at the start of a line and not in a string."""
    begins_line = not before.rpartition("\n")[2].strip()
    found = (m for m in _CLOSED.finditer(code) if m.start() or begins_line)
    return next((m.start() for m in found if not _in_string(before + code, len(before) + m.start())), None)


def _in_string(code: str, offset: int) -> bool:
    return lexical_state(code, offset).in_string


def _may_grow(text: str) -> bool:
    """Whether a marker begins with all of the text and goes on."""
    return any(len(marker) > len(text) and marker.startswith(text) for marker in _EVERY)


def _withheld(text: str) -> int:
    """Length of the end of `text` that may be the start of a marker."""
    at = text.rfind("<")
    if at < 0:
        return 0
    tail = text[at:]
    return len(tail) if _may_grow(tail) or _GENERIC_START.match(tail) else 0


def _partial(text: str) -> int:
    """Length of a marker that the end of the answer cut short; "a<b" is not one, though "<bos>" starts like it."""
    held = _withheld(text)
    return held if "|" in text[len(text) - held :] or held > 3 else 0
