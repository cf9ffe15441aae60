"""What stands around the repository in the prompt: the preamble, the file headers, the end of the turn.

A model with a chat template sees everything in one user turn, so that all features share the same first tokens; a model
without one sees a document that it continues. Deliberately not here: what a request says (`tails`), and how
a template is run (`template`). Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gemma_lsp.prompt.hole import HOLE_CHARS
from gemma_lsp.prompt.segments import Prompt, Region, Segment

FILE_MARK = "### file: "

_SENTINEL = "@@here-stands-the-repository@@"
_INSTRUCTIONS = (
    "You are a careful programming assistant inside a code editor. "
    "You are shown the source files of a repository, then a request about them. "
    "Rely on the files, quote code exactly as it stands there, and say so where the files do not tell."
)


NEWER = "### newer than what stands above:\n"
"""Ends the body. It always stands, so that whatever is masked before it can be shown again."""

REQUEST_MARK = "\n### request\n"

OWN_LINES = ("\n" + FILE_MARK, "\n" + NEWER, REQUEST_MARK)
"""Where a model that answers begins to write the prompt once more."""


def file_header(path: str, note: str = "") -> str:
    """The line, with its line end, that stands before each file; `note` says how it stands there (outline, changed)."""
    return f"{FILE_MARK}{path} ({note})\n" if note else f"{FILE_MARK}{path}\n"


class ModelFacts(Protocol):
    """The part of `engine.messages.ModelInfo` that decides how a model is asked."""

    @property
    def chat_template(self) -> str:
        """Jinja source from the GGUF, "" for a base model."""

    @property
    def bos(self) -> str:
        """Text of the token that the engine puts first by itself."""

    @property
    def eos(self) -> str:
        """Text of the token that ends an answer."""

    @property
    def fim(self) -> Mapping[str, str]:
        """Texts of the fill-in-the-middle tokens by kind; empty where the model has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How a model marks its thoughts. `skip` is what makes it answer at once, put after the opened turn."""

    open: str
    close: str
    skip: str
    opened: bool = False  # the template itself opens the thoughts


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The constant text around body, errata, hole and request. `head` is the first thing in every prompt."""

    chat: bool
    head: Prompt
    turn_end: str = ""
    thinking: Thinking | None = None
    fim: Mapping[str, str]
    hole_chars: int = HOLE_CHARS  # of the active file around the cursor, in their own order

    @property
    def request_open(self) -> str:
        """The text that every request begins with; it ends what was shown of files."""
        return REQUEST_MARK if self.chat else "\n"

    def close(self, *, thinking: bool, prefill: str = "") -> Prompt:
        """What follows the request: the end of the turn and the words put into the model's mouth."""
        end = self.turn_end
        if self.thinking and not thinking:
            end += self.thinking.skip
        closing = (Segment(Region.REQUEST, end, special=True), Segment(Region.REQUEST, prefill))
        return tuple(segment for segment in closing if segment.text)


def frame_for(model: ModelFacts, repository_name: str) -> Frame:
    """The frame for a model; one whose template cannot be rendered is asked like a base model."""
    rendered = _render(model) if model.chat_template else None
    if rendered is None:
        title = (
            f"# Repository {repository_name}\n\nThe source files of {repository_name} follow, one after another.\n\n"
        )
        return Frame(chat=False, head=(Segment(Region.PREAMBLE, title),), fim=model.fim)
    before, end = rendered
    title = f"The source files of the repository {repository_name}:\n\n"
    head = (Segment(Region.PREAMBLE, before, special=True), Segment(Region.PREAMBLE, title))
    return Frame(
        chat=True,
        head=tuple(segment for segment in head if segment.text),
        turn_end=end,
        thinking=_thinking(model.chat_template, end),
        fim=model.fim,
    )


def bare_chat(model: ModelFacts, request: str) -> Prompt:
    """A request alone in the model's own chat, with its template's own system message: what a plain chat would send.

    () where the model has no chat template that can be rendered.
    """
    rendered = _rendered(model, [{"role": "user", "content": _SENTINEL}]) if model.chat_template else ""
    before, found, end = rendered.partition(_SENTINEL)
    if not found:
        return ()
    parts = ((before.removeprefix(model.bos), True), (request, False), (end, True))
    return tuple(Segment(Region.REQUEST, text, special=special) for text, special in parts if text)


def _render(model: ModelFacts) -> tuple[str, str] | None:
    """What the template puts before and after the repository, or None where it cannot be used."""
    user = {"role": "user", "content": _SENTINEL}
    system = {"role": "system", "content": _INSTRUCTIONS}
    folded = {"role": "user", "content": f"{_INSTRUCTIONS}\n\n{_SENTINEL}"}
    for messages in ([system, user], [folded]):
        text = _rendered(model, messages)
        before, found, end = text.partition(_SENTINEL)
        if found and _INSTRUCTIONS in before and _SENTINEL not in end:
            return before.removeprefix(model.bos), end
    return None


def _rendered(model: ModelFacts, messages: list[dict[str, str]]) -> str:
    """What the model's template makes of a conversation; "" where it refuses."""
    from gemma_lsp.prompt.template import render  # a base model has none, and the server starts sooner without Jinja

    return render(model.chat_template, messages, bos=model.bos, eos=model.eos)


def _thinking(template: str, turn_end: str) -> Thinking | None:
    """The markers that this template knows."""
    if "<|channel>" in template and "<channel|>" in template:
        return Thinking(open="<|channel>thought\n", close="<channel|>", skip="<|channel>thought\n<channel|>")
    if "<think>" in template:
        opened = turn_end.rstrip().endswith("<think>")
        skip = "\n</think>\n\n" if opened else "<think>\n\n</think>\n\n"
        return Thinking(open="<think>", close="</think>", skip=skip, opened=opened)
    return None
