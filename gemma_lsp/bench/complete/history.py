"""Next-line tasks through the product, with the repository resident and with the active file alone. Blocks.

The repository lives as in the server: one layout, edits as errata, a new layout where too much has changed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gemma_lsp.bench.complete.ask import Asker, Said, bench_settings
from gemma_lsp.bench.complete.local import DriverClient
from gemma_lsp.bench.complete.next import Asked, NextLine
from gemma_lsp.bench.complete.score import breaks, first_line, leaks, repeats_suffix, similarity
from gemma_lsp.bench.complete.store import Store
from gemma_lsp.bench.complete.types import Arm, Comparison, Row, compare, compare_recall
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import Editing
from gemma_lsp.engine.recall import Recall, chance_of
from gemma_lsp.features.memory import Learned
from gemma_lsp.prompt.hole import Hole
from gemma_lsp.prompt.layout import Layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.syntax.index import build
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

FILE_CHARS = 6000  # of the active file before the cursor, where nothing else is shown: 2,000 tokens
TRUTH_TOKENS = 64
ROOM = 128  # tokens kept free for the answer and the truth
_LEAST = 1e-45  # of a chance: what 32 bits can tell from nothing


class Context(StrEnum):
    """What a completion may know."""

    REPO = "repo"
    WIDE = "wide"  # as much of the active file around the cursor, in its own order, as FILE shows of it
    BARE = "bare"  # the repository, without the similar code that is shown beside the cursor
    FILE = "file"  # without similar code, too

    @property
    def trunk(self) -> str:
        """What is resident for it: the repository serves three."""
        return self if self is Context.FILE else Context.REPO

    @property
    def shows_similar(self) -> bool:
        """Whether similar code is shown beside the cursor, as the product does."""
        return self in (Context.REPO, Context.WIDE)


ARMS = {Context.REPO: Arm.REPO, Context.WIDE: Arm.WIDE, Context.BARE: Arm.BARE, Context.FILE: Arm.FILE}
PAIRS = (
    (Arm.REPO, Arm.FILE),
    (Arm.WIDE, Arm.FILE),
    (Arm.BARE, Arm.FILE),
    (Arm.WIDE, Arm.REPO),
    (Arm.REPO, Arm.BARE),
)


@dataclass(slots=True)
class Scene:
    """Where the tasks are asked: the living repository and the model."""

    driver: Driver
    client: DriverClient
    editing: Editing

    def asker(self) -> Asker:
        """The product on this thread."""
        assert self.client.model is not None
        return Asker(client=self.client, model=self.client.model)


def replay_tasks(
    scene: Scene, script: Sequence[Asked], contexts: Sequence[Context], store: Store, say: Callable[[str], None]
) -> None:
    """Goes through the history; each task is written when it is done."""
    total, done = sum(len(asked.tasks) for asked in script), 0
    for asked in script:
        for number, hunk in enumerate(asked.commit.hunks):
            for task in asked.tasks:
                if task.hunk == number:
                    done += 1
                    say(f"{done} of {total}: {task.id}")
                    _ask(scene, task, contexts, store)
            scene.editing.edit(hunk.path, hunk.text, hunk.span.start)
        if scene.editing.resident.stale:
            scene.editing.lay_out()


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """The repository against the file alone, and the two ways to show it with each other."""
    found = (compare(rows, *pair, what) for pair in PAIRS for what in ("nll", "similarity", "exact"))
    return [comparison for comparison in (*found, compare_recall(rows)) if comparison is not None]


def _ask(scene: Scene, task: NextLine, contexts: Sequence[Context], store: Store) -> None:
    todo = [context for context in contexts if not store.has(task.id, ARMS[context])]
    if not todo:
        return
    scene.editing.edit(task.path, task.text, task.offset)
    rows = []
    for context in todo:
        resident = file_alone(scene, task) if context is Context.FILE else _resident(scene, task, context)
        said = _said(scene, context, resident, task)
        rows.append(_row(task, ARMS[context], said, _nlls(scene, task.truth)))
    store.put(rows, comparisons([*store.rows, *rows]))


def _resident(scene: Scene, task: NextLine, context: Context) -> Resident:
    """The repository as it stands, laid out anew where the prompt would not fit."""
    found = _around(scene.editing.resident, task, context)
    if scene.editing.count.total(found.head()) + ROOM + _tail_tokens(found) > scene.asker().model.n_ctx:
        scene.editing.lay_out()
        scene.editing.look(task.path, task.offset)
        found = _around(scene.editing.resident, task, context)
    return found


def _around(resident: Resident, task: NextLine, context: Context) -> Resident:
    if context is not Context.WIDE:
        return resident
    wide = replace(resident.frame, hole_chars=FILE_CHARS)
    return replace(resident, frame=wide, hole=None).with_index(resident.index, Focus(task.path, task.offset))


def _tail_tokens(resident: Resident) -> int:
    chars = bench_settings().completion.similar_chars + (len(resident.hole.span) if resident.hole else 0)
    return chars // 2


def file_alone(scene: Scene, task: NextLine) -> Resident:
    """A repository of one file, all of which stands around the cursor in its own order."""
    files = {task.path: task.text}
    name = scene.editing.resident.index.snapshot.name
    index = build(WorkspaceSnapshot(root=None, name=name, files=files))
    start = task.text.position(max(0, task.offset - FILE_CHARS))
    first = task.text.line_span(start.line + (1 if start.column else 0)).start
    hole = Hole(path=task.path, symbol="", span=Span(first, len(task.text.content)), text=task.text)
    resident = Resident.start(Layout((), 0, 0), index, scene.editing.frame)
    return replace(resident, hole=hole)


def _said(scene: Scene, context: Context, resident: Resident, task: NextLine) -> Said:
    scene.client.last, scene.client.around = (), None
    asker = scene.asker()
    asker.workspace = context.trunk
    files = resident.index.files if context is not Context.FILE else {}
    asker.learned = Learned({path: Segment(Region.BODY, file.text.content) for path, file in files.items()})
    if not context.shows_similar:
        asker.settings = replace(asker.settings, completion=replace(asker.settings.completion, similar_chars=0))
    asyncio.run(scene.client.learn(asker.learned.name, tuple(asker.learned.files.values())))
    return asyncio.run(asker.at(resident, task.path, task.offset, invoked=False))


def _nlls(scene: Scene, truth: str) -> tuple[float, float] | None:
    """Of the truth behind the prompt that was sent: with what the engine could remember there, and without."""
    client = scene.client
    asked, around = unforced(client.last), client.around
    recall = client.recall(replace(around, before=unforced(around.before))) if around else None
    return nlls_per_char(scene.driver, client.trunk, asked, truth, recall) if asked else None


def unforced(prompt: Prompt) -> Prompt:
    """The prompt up to the cursor's empty line, without what was certain of it: the truth is the whole line."""
    if not prompt or prompt[-1].special:
        return prompt
    last = prompt[-1]
    above, newline, _ = last.text.rpartition("\n")
    return (*prompt[:-1], replace(last, text=above + newline)) if newline else prompt[:-1]


def nlls_per_char(
    driver: Driver, trunk: str, prompt: Prompt, truth: str, recall: Recall | None
) -> tuple[float, float] | None:
    """Nats for each character of a line behind a prompt, with what can be remembered and by the model alone.

    None for a line that has no tokens.
    """
    tokens = driver.tokens(truth)[:TRUTH_TOKENS]
    if not tokens:
        return None
    rows = driver.score(trunk, prompt, tokens, exact=False)
    said = b"".join(driver.backend.piece(token) for token in tokens).decode("utf-8", "replace")
    expected = [recall.expected(tokens[:i]) if recall else None for i in range(len(tokens))]
    chances = (chance_of(token, rows[i], expected[i]) for i, token in enumerate(tokens))
    mixed = sum(math.log(max(chance, _LEAST)) for chance in chances)
    alone = float(sum(rows[i][token] for i, token in enumerate(tokens)))
    return -mixed / max(1, len(said)), -alone / max(1, len(said))


def _row(task: NextLine, arm: Arm, said: Said, nlls: tuple[float, float] | None) -> Row:
    content = task.text.content
    around = (content[: task.offset], said.text, content[task.offset :], task.truth)
    return Row(
        task=task.id,
        arm=arm,
        text=said.text,
        reason=said.reason,
        exact=first_line(said.text) == first_line(task.truth),
        similarity=round(similarity(first_line(said.text), task.truth), 4),
        nll=round(nlls[0], 5) if nlls else None,
        nll_model=round(nlls[1], 5) if nlls else None,
        repeats=repeats_suffix(*around),
        breaks=breaks(*around, lambda text: not parse(task.path, Text(text)).error_spans),
        leaks=leaks(said.text),
        prompt=said.cost.prompt if said.cost else 0,
        evaluated=said.cost.evaluated if said.cost else 0,
        generated=said.cost.generated if said.cost else 0,
        first_ms=round(said.cost.first_token_ms, 1) if said.cost else None,
        total_ms=round(said.cost.total_ms, 1) if said.cost else None,
    )
