"""The prompt after edits: what is masked, what is told again, and where the hole is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.hole import HOLE_CHARS
from gemma_lsp.prompt.layout import Form, LayoutOptions, candidates, chunk_segments, plan_layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.prompt.segments import Prompt, Region
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

MODEL = ModelInfo(
    path="m.gguf", name="m", architecture="gemma3", n_ctx=8192, n_ctx_train=8192, n_vocab=10, n_swa=0, n_tail=1024
)
PAD = "".join(f"    total += {i} * {i}\n" for i in range(80))
FILES = {
    "shop/rates.py": f'"""Rates."""\n\nLIMIT = 30\n\n\ndef rate(kg):\n    total = 0\n{PAD}    return kg * LIMIT\n',
    "shop/quotes.py": "from shop.rates import rate\n\n\ndef quote(kg):\n    return rate(kg) + 1\n\n\n"
    f"def long_one(total):\n{PAD}    return total\n\n\ndef last():\n    return 2\n",
    "README.md": "# Shop\n\nSells.\n",
}


def index_of(files: dict[str, str]) -> Index:
    return build(WorkspaceSnapshot(root=Path("/w"), name="shop", files={p: Text(t) for p, t in files.items()}))


def edited(index: Index, path: str, old: str, new: str) -> Index:
    text = index.snapshot.files[path].content
    assert old in text
    return index.with_changes(index.snapshot.with_changes({path: Text(text.replace(old, new, 1))}))


def text_of(prompt: Prompt, *regions: Region) -> str:
    return "".join(s.visible for s in prompt if not regions or s.region in regions)


@pytest.fixture
def index() -> Index:
    return index_of(FILES)


@pytest.fixture
def resident(index: Index) -> Resident:
    layout = plan_layout(index, LayoutOptions(budget_tokens=100_000))
    return Resident.start(layout, index, frame_for(MODEL, "shop"))


def focus(index: Index, path: str, text: str) -> Focus:
    return Focus(path, index.snapshot.files[path].content.index(text))


def test_the_body_holds_every_file_once(resident: Resident, index: Index) -> None:
    """Each chunk of each file stands in the body, under one header a file."""
    body = text_of(resident.head(), Region.BODY)
    for path, parsed in index.files.items():
        assert body.count(f"### file: {path}\n") == 1
        assert all(s.text in body for s in chunk_segments(parsed) if s.text.strip())
    assert not resident.errata


def test_typing_changes_nothing_before_the_tail(resident: Resident, index: Index) -> None:
    """While the edits stay inside the hole the shared head is the same, segment by segment."""
    index = edited(index, "shop/quotes.py", "rate(kg) + 1", "rate(kg) + 2")
    one = resident.with_index(index, focus(index, "shop/quotes.py", "rate(kg) + 2"))
    index = edited(index, "shop/quotes.py", "rate(kg) + 2", "rate(kg) + 23")
    two = one.with_index(index, focus(index, "shop/quotes.py", "rate(kg) + 23"))
    assert one.head() == two.head()
    assert two.hole
    assert "rate(kg) + 23" in index.files["shop/quotes.py"].text.slice(two.hole.span)


def test_the_text_being_edited_stands_nowhere_in_the_head(resident: Resident, index: Index) -> None:
    """Neither its old form nor its new one: the tail shows it."""
    index = edited(index, "shop/quotes.py", "rate(kg) + 1", "rate(kg) + 2")
    after = resident.with_index(index, focus(index, "shop/quotes.py", "rate(kg) + 2"))
    assert "def quote" not in text_of(after.head())


def test_coming_back_to_a_new_file_takes_it_out_of_the_head_again(resident: Resident, index: Index) -> None:
    """Also when nothing was typed since: the cursor that asks is enough, and the edit made elsewhere is told."""
    new = index.with_changes(index.snapshot.with_changes({"shop/new.py": Text("from shop import LIM")}))
    there = resident.with_index(new, focus(new, "shop/new.py", "LIM"))
    moved = edited(new, "shop/rates.py", "LIMIT = 30", "BOUND = 30")
    elsewhere = there.with_index(moved, focus(moved, "shop/rates.py", "BOUND"))
    assert "from shop import LIM" in text_of(elsewhere.head(), Region.ERRATA)
    back = elsewhere.with_index(moved, focus(moved, "shop/new.py", "LIM"))
    assert back.hole
    assert back.hole.path == "shop/new.py"
    assert "from shop import LIM" not in text_of(back.head())
    assert "BOUND = 30" in text_of(back.head(), Region.ERRATA)


def test_an_open_quote_does_not_ripple_through_the_file(resident: Resident, index: Index) -> None:
    """Half-typed code makes a parser see the rest differently; the body does not follow."""
    index = edited(index, "shop/quotes.py", "rate(kg) + 1", "rate(kg) + 1")
    one = resident.with_index(index, focus(index, "shop/quotes.py", "rate(kg) + 1"))
    index = edited(index, "shop/quotes.py", "rate(kg) + 1", 'rate(kg) + """1')
    two = one.with_index(index, focus(index, "shop/quotes.py", '"""1'))
    assert one.head() == two.head()


def test_leaving_the_hole_tells_the_change_once(resident: Resident, index: Index) -> None:
    """The changed chunk is masked and told behind the body; the new hole is elsewhere."""
    index = edited(index, "shop/rates.py", "LIMIT = 30", "LIMIT = 70")
    one = resident.with_index(index, focus(index, "shop/rates.py", "LIMIT = 70"))
    assert not one.errata
    two = one.with_index(index, focus(index, "shop/quotes.py", "return 2"))
    assert [e.path for e in two.errata] == ["shop/rates.py"]
    assert "LIMIT = 70" in text_of(two.head(), Region.ERRATA)
    assert "LIMIT = 30" not in text_of(two.head())
    assert text_of(two.head(), Region.BODY).count("def rate") == 1


def test_an_edit_elsewhere_without_focus_is_told_at_once(resident: Resident, index: Index) -> None:
    """A file changed on disk becomes an erratum, the open hole stays."""
    one = resident.with_index(index, focus(index, "shop/quotes.py", "return 2"))
    index = edited(index, "shop/rates.py", "LIMIT = 30", "LIMIT = 70")
    two = one.with_index(index, None)
    assert [e.path for e in two.errata] == ["shop/rates.py"]
    assert two.hole
    assert two.hole.path == "shop/quotes.py"


def test_an_edit_taken_back_leaves_nothing_behind(resident: Resident, index: Index) -> None:
    """Back to the old text: the chunk is revealed, the erratum is gone, the head is the first one."""
    changed = edited(index, "shop/rates.py", "LIMIT = 30", "LIMIT = 70")
    back = edited(changed, "shop/rates.py", "LIMIT = 70", "LIMIT = 30")
    after = resident.with_index(changed, None).with_index(back, None)
    assert after.head() == resident.head()


def test_errata_keep_their_place(resident: Resident, index: Index) -> None:
    """A later change is told after an earlier one; a repeated change moves to the end."""
    index = edited(index, "shop/rates.py", "LIMIT = 30", "LIMIT = 70")
    one = resident.with_index(index, None)
    index = edited(index, "README.md", "Sells.", "Buys.")
    two = one.with_index(index, None)
    assert [e.path for e in two.errata] == ["shop/rates.py", "README.md"]
    index = edited(index, "shop/rates.py", "LIMIT = 70", "LIMIT = 71")
    three = two.with_index(index, None)
    assert [e.path for e in three.errata] == ["README.md", "shop/rates.py"]


def test_a_changed_line_hides_and_tells_that_line(resident: Resident, index: Index) -> None:
    """Its neighbours stay in the body and stand beside it in the erratum, which says where it belongs."""
    index = edited(index, "shop/rates.py", "    total += 40 * 40\n", "    total += 40\n")
    after = resident.with_index(index, None)
    assert text_of(after.head(), Region.ERRATA) == (
        "### file: shop/rates.py (changed in rate)\n    total += 39 * 39\n    total += 40\n    total += 41 * 41\n"
    )
    body = text_of(after.head(), Region.BODY)
    assert "    total += 39 * 39\n    total += 41 * 41\n" in body


def test_a_change_to_what_was_told_costs_its_own_lines(resident: Resident, index: Index) -> None:
    """A function that stands in an erratum is edited: the erratum stays, but for the line that is told anew."""
    text = "def fresh(a):\n    b = a\n    c = b\n    d = c\n    return d\n"
    index = index.with_changes(index.snapshot.with_changes({"shop/new.py": Text(text)}))
    one = resident.with_index(index, None)
    two = one.with_index(edited(index, "shop/new.py", "c = b", "c = b + 1"), None)
    assert [e.segment.key for e in two.errata[:1]] == [e.segment.key for e in one.errata]
    first, second = (e.segment.visible for e in two.errata)
    assert first == "### file: shop/new.py (changed)\n" + text.replace("    c = b\n", "")
    assert second == "### file: shop/new.py (changed in fresh)\n    b = a\n    c = b + 1\n    d = c\n"
    back = two.with_index(index, None)
    assert [e.segment.visible for e in back.errata] == [e.segment.visible for e in one.errata]


def test_context_that_is_no_longer_true_is_not_shown(resident: Resident, index: Index) -> None:
    """The neighbour of a told line changes, too: the first erratum goes on without it."""
    index = edited(index, "shop/rates.py", "    total += 40 * 40\n", "    total += 40\n")
    one = resident.with_index(index, None)
    two = one.with_index(edited(index, "shop/rates.py", "    total += 41 * 41\n", "    total += 41\n"), None)
    assert "41 * 41" in text_of(one.head(), Region.ERRATA)
    assert "41 * 41" not in text_of(two.head(), Region.ERRATA)
    assert text_of(two.head(), Region.ERRATA).count("    total += 40\n") == 2  # told, and context of the next


def test_a_hole_that_has_grown_too_long_opens_anew(resident: Resident, index: Index) -> None:
    """Line after line is written in one place: what stands farther away is told, and much of it asks for a layout."""
    at = "    return rate(kg) + 1\n"
    sizes = []
    for n in range(200):
        line = f"    value_{n} = rate(kg) * {n}\n"
        index = edited(index, "shop/quotes.py", at, line + at)
        resident = resident.with_index(index, focus(index, "shop/quotes.py", line))
        assert resident.hole
        sizes.append(len(resident.hole.span))
        assert line in index.files["shop/quotes.py"].text.slice(resident.hole.span)
    assert max(sizes) <= 2 * HOLE_CHARS
    wanted = Counter(line for parsed in index.files.values() for line in parsed.text.content.split("\n"))
    assert +_said(_told(resident)) == _said(wanted)
    assert resident.stale
    reopened = sum(b < a for a, b in pairwise(sizes))
    assert 1 <= reopened <= 6  # each time something before the hole is read


@pytest.mark.parametrize("paste", ["functions", "statement", "prose"])
def test_a_long_paste_asks_for_a_new_layout(resident: Resident, index: Index, paste: str) -> None:
    """It does not stay in the hole, of which no layout would take anything; also where it is one single statement."""
    text = {
        "functions": "".join(f"def g{n}(a, b):\n    return a - b * {n}\n\n\n" for n in range(300)),
        "statement": "TABLE = {\n" + "".join(f"    {n}: 'row {n}',\n" for n in range(600)) + "}\n",
        "prose": "".join(f"Some words about the number {n}\n" for n in range(400)),
    }[paste]
    path = "README.md" if paste == "prose" else "shop/new.py"
    index = index.with_changes(index.snapshot.with_changes({path: Text("\n")}))
    resident = resident.with_index(index, Focus(path, 1))
    for at in (len(text), len(text) // 2, 0):
        pasted = index.with_changes(index.snapshot.with_changes({path: Text(text)}))
        after = resident.with_index(pasted, Focus(path, at))
        assert after.hole
        assert after.hole.span.start <= at <= after.hole.span.end
        assert len(after.hole.span) <= 2 * HOLE_CHARS
        assert after.stale


LINES = st.sampled_from(
    ["a = 1", "b = 2", "def f():", "    return a", "    x = f()", "", "class C:", "    def g(self):"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["one.py", "two.py"]),
            st.integers(0, 20),
            st.integers(0, 3),
            st.lists(LINES, max_size=3),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.sampled_from([HOLE_CHARS, 40, 10]),
)
def test_every_line_is_told_exactly_once(edits: list[tuple[str, int, int, list[str], bool]], hole_chars: int) -> None:
    """After any edits, body, errata and hole together hold each file's lines, each as often as the file does."""
    start = "import os\n\n\ndef f():\n    a = 1\n    return a\n\n\nclass C:\n    def g(self):\n        return f()\n"
    index = index_of({"one.py": start, "two.py": start.replace("f", "h")})
    frame = replace(frame_for(MODEL, "x"), hole_chars=hole_chars)
    resident = Resident.start(plan_layout(index, LayoutOptions(budget_tokens=10_000)), index, frame)
    for path, at, n, new, focused in edits:
        lines = index.snapshot.files[path].content.split("\n")
        lines[at : at + n] = new
        text = Text("\n".join(lines))
        index = index.with_changes(index.snapshot.with_changes({path: text}))
        offset = len("\n".join(lines[:at]))
        resident = resident.with_index(index, Focus(path, min(offset, len(text.content))) if focused else None)
        told = _told(resident)
        wanted = Counter(line for parsed in index.files.values() for line in parsed.text.content.split("\n"))
        assert +_said(told) == _said(wanted)


def _told(resident: Resident) -> Counter[str]:
    """The lines that body, errata and hole tell; the neighbours of what an erratum tells do not count."""
    told = Counter(line for s in resident.head() if s.region is Region.BODY for line in s.visible.split("\n"))
    for erratum in resident.errata:
        spans = erratum.segment.shown or ((0, len(erratum.segment.text)),)
        own = (x for x in erratum.lines if not x.context and any(a <= x.start and x.stop <= b for a, b in spans))
        told.update(x.text for x in own)
    if hole := resident.hole:
        told.update(resident.index.files[hole.path].text.slice(hole.span).split("\n"))
    return told


def _said(lines: Counter[str]) -> Counter[str]:
    return Counter({x: n for x, n in lines.items() if x.strip() and not x.startswith("### ")})


def test_deleted_and_new_files_are_told(resident: Resident, index: Index) -> None:
    """A deletion is said in words; a new file is shown."""
    changes = {"README.md": None, "shop/new.py": Text("def fresh(): ...\n")}
    gone = index.with_changes(index.snapshot.with_changes(changes))
    after = resident.with_index(gone, None)
    errata = text_of(after.head(), Region.ERRATA)
    assert "### file: README.md (deleted)\n" in errata
    assert "### file: shop/new.py (changed)\ndef fresh(): ...\n" in errata
    assert "# Shop" not in text_of(after.head(), Region.BODY)


def test_much_that_changed_asks_for_a_new_layout(resident: Resident, index: Index) -> None:
    """A rewritten file makes the resident stale; a one-line change does not."""
    small = edited(index, "README.md", "Sells.", "Buys.")
    assert not resident.with_index(small, None).stale
    big = edited(index, "shop/rates.py", PAD, PAD.replace("total", "whole"))
    assert resident.with_index(big, None).stale


def test_a_budget_keeps_outlines(index: Index) -> None:
    """Over budget, what is open stands in full and the rest as outlines; nothing exceeds the budget."""
    layout = plan_layout(index, LayoutOptions(budget_tokens=1200, open_paths=("shop/rates.py",)))
    forms = {e.path: e.form for e in layout.entries}
    assert forms["shop/rates.py"] is Form.FULL
    assert forms["shop/quotes.py"] is Form.SKELETON
    assert layout.n_tokens <= 1200
    assert "return rate(kg)" not in "".join(s.text for s in layout.segments)


def test_an_outline_is_masked_when_what_it_shows_has_changed(index: Index) -> None:
    """A changed body is told beside the outline; a changed signature takes the outline's place."""
    layout = plan_layout(index, LayoutOptions(budget_tokens=1200, open_paths=("shop/rates.py",)))
    resident = Resident.start(layout, index, frame_for(MODEL, "shop"))
    after = resident.with_index(edited(index, "shop/quotes.py", "+ 1", "+ 5"), None)
    assert "rate(kg) + 5" in text_of(after.head(), Region.ERRATA)
    assert "def quote(kg): ..." in text_of(after.head(), Region.BODY)
    after = resident.with_index(edited(index, "shop/quotes.py", "quote(kg)", "quote(g)"), None)
    assert "def quote(g):" in text_of(after.head(), Region.ERRATA)
    assert "def last" in text_of(after.head(), Region.BODY)
    assert "def quote(kg)" not in text_of(after.head(), Region.BODY)


def test_no_budget_holds_nothing(index: Index) -> None:
    """Whatever the budget, it is kept; a tiny one leaves files out and says why."""
    for budget in (0, 5, 40, 300):
        layout = plan_layout(index, LayoutOptions(budget_tokens=budget))
        assert layout.n_tokens <= budget
        assert {e.path for e in layout.entries} == set(FILES)
        assert all(e.reason for e in layout.entries)


def test_every_segment_of_a_layout_is_a_candidate(index: Index) -> None:
    """What is counted beforehand is all that a layout can need."""
    known = set(candidates(index))
    for budget in (40, 300, 1200, 100_000):
        assert set(plan_layout(index, LayoutOptions(budget_tokens=budget)).segments) <= known
