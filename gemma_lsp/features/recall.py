"""What the engine is told of the text around the cursor, so that it can remember what follows the like elsewhere.

What it remembers must be true: of the file itself it is told how it reads now, and files that read otherwise than when
they were learned are left out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from gemma_lsp.engine.client import Around
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span

MOST_CHARS = 30_000  # of the file itself, before the cursor and as much behind it; guessed


def around(ctx: FeatureContext, parsed: ParsedFile, offset: int, lead: str) -> Around | None:
    """The file before the cursor, `lead` put in there, and from the next line on; None where that is switched off."""
    if not ctx.settings.completion.recall:
        return None
    content = parsed.text.content
    behind = content.find("\n", offset) + 1 or len(content)
    spans = list(_pieces(parsed))
    before = [Span(s.start, min(s.end, offset)) for s in spans if offset - MOST_CHARS <= s.start < offset]
    after = [Span(max(s.start, behind), s.end) for s in spans if behind < s.end <= behind + MOST_CHARS]
    said = [content[s.start : s.end] for s in before]
    if lead:
        said[-1:] = ["".join(said[-1:]) + lead]
    return Around(
        memory=ctx.learned.name,
        before=_segments(said),
        behind=_segments([content[s.start : s.end] for s in after]),
        without=tuple(_otherwise(ctx, parsed.path)),
    )


def _pieces(parsed: ParsedFile) -> Iterator[Span]:
    """The whole file, cut where its chunks begin, so that a key changes one piece."""
    ends = [*chunk_starts(parsed), len(parsed.text.content)]
    for start, end in zip([0, *ends], ends, strict=False):
        if start < end:
            yield Span(start, end)


def _segments(texts: list[str]) -> Prompt:
    return tuple(Segment(Region.HOLE, text) for text in texts if text)


def _otherwise(ctx: FeatureContext, path: str) -> Iterator[str]:
    """Keys of what was learned and is no longer so, the file itself among them."""
    for other, segment in ctx.learned.files.items():
        file = ctx.index.files.get(other)
        if other == path or file is None or not _reads(file, segment.text):
            yield segment.key


def _reads(file: ParsedFile, text: str) -> bool:
    return file.text.content is text or file.text.content == text  # the first is what it nearly always is, and quick
