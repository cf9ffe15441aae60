"""The text around the cursor as a model is shown it that fills gaps. Pure.

Such a model does it best with nothing before the gap, the repository included, and a long piece of the file in it:
docs/design/completion.md. So its prompt is the gap alone, and what the repository says is remembered (`recall`).
"""

from __future__ import annotations

from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.prompt.completion_tails import SUFFIX_CHARS, Place, fills
from gemma_lsp.prompt.frame import Frame
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN
from gemma_lsp.text import Span, Text

CHARS = (6000, 3000, 1500)  # before the cursor, at most: the most that is read in time
MOST_S = 3.0  # that reading it may take, where the speed is known; once for a place; guessed
_STEPS = 4  # in so many parts the beginning moves on, so that what is typed moves it seldom


def stands_alone(frame: Frame, model: ModelInfo) -> bool:
    """Whether completions are asked for as gaps alone.

    A window cannot be gone back to behind an answer in the side sequence: there every key would read the gap anew.
    """
    return fills(frame) and not model.n_swa


def gap_room(model: ModelInfo) -> int:
    """Tokens that a gap may have beside what is resident."""
    return model.n_tail * 3 // 4


def gap_place(path: str, text: Text, offset: int, *, n_room: int, tokens_per_s: float | None) -> Place:
    """Whole lines before the cursor, but for one that is longer, and the rest of what the prompt shows behind it.

    `n_room`: tokens that the prompt may have. The beginning stays where it is while one types at most a fifth as much.
    """
    most = min(n_room, MOST_S * tokens_per_s if tokens_per_s is not None else n_room) * BYTES_PER_TOKEN
    chars = next((n for n in CHARS if n + SUFFIX_CHARS <= most), CHARS[-1])
    step = chars // (_STEPS + 1)
    most_first = max(0, (offset - _STEPS * step) // step * step)
    start = text.position(most_first)
    first = text.line_span(start.line + (1 if start.column else 0)).start
    own = text.line_span(text.position(offset).line).start
    first = max(min(first, own), most_first)  # a line may be a megabyte of data
    last = text.line_span(text.position(min(len(text.content), offset + SUFFIX_CHARS)).line).end
    return Place(
        path=path,
        before=text.slice(Span(first, offset)),
        after=text.slice(Span(offset, max(last, offset))),
    )
