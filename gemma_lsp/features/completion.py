"""The same suggestion for clients without inline completion, in the one form that every editor inserts whole.

That form is plain text in place of the typed word, without a text edit; clients add the line's indentation to the
lines that follow, so these come without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.text import Position

LABEL_CHARS = 60
_WORD = re.compile(r"\w*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionItemData:
    """`insert_text` replaces `typed_word`, which a client must also filter by. `documentation` is Markdown."""

    insert_text: str
    typed_word: str
    label: str
    documentation: str
    cost: Cost | None = None


async def completion_items(
    ctx: FeatureContext, path: str, position: Position, invoked: bool
) -> tuple[CompletionItemData, ...]:
    """The inline suggestions as completion items; empty where there are none. Cancel points are those of `inline`.

    The cost is the first one's.
    """
    answer = await inline_completion(ctx, InlineRequest(path=path, position=position, invoked=invoked))
    if not answer.items:
        return ()
    line = ctx.index.files[path].text.line(position.line)
    costs = (answer.cost, *(None for _ in answer.items[1:]))
    return tuple(
        completion_item(item.text, line, position.column, cost) for item, cost in zip(answer.items, costs, strict=True)
    )


def completion_item(text: str, line: str, column: int, cost: Cost | None = None) -> CompletionItemData:
    """One suggestion in the form above; `line` is the cursor's line."""
    found = _WORD.search(line[:column])
    word = found.group() if found else ""
    indent = line[: len(line) - len(line.lstrip(" \t"))][:column]
    first, *following = (word + text).split("\n")
    insert = "\n".join((first, *(_without(indent, more) for more in following)))
    label = next((part.strip() for part in insert.split("\n") if part.strip()), insert)
    return CompletionItemData(
        insert_text=insert,
        typed_word=word,
        label=label if len(label) <= LABEL_CHARS else label[: LABEL_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}",
        documentation=f"{_fence(insert)}python\n{insert}\n{_fence(insert)}",
        cost=cost,
    )


def _without(indent: str, line: str) -> str:
    """The line without as much of the indentation as it has."""
    shared = 0
    while shared < min(len(indent), len(line)) and indent[shared] == line[shared]:
        shared += 1
    return line[shared:]


def _fence(code: str) -> str:
    """A fence that the code cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    return "`" * max(3, longest + 1)
