"""Code that is like the code at a place: which, how much, in which order, and none that is seen anyway."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.syntax import similar
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.similar import LEAST_LIKE, MOST_PIECES, WINDOW, similar_code
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

TRAINS = '''def train_fare(distance, passengers):
    """What a train costs."""
    if distance < MINIMUM:
        raise FareError(distance)
    return rate_of("train") * distance * passengers
'''
BUSES = '''def bus_fare(distance, passengers):
    """What a bus costs."""
    if distance < MINIMUM:
        raise FareError(distance)
    return rate_of("bus") * distance * passengers
'''
HERE = '''def boat_fare(distance, passengers):
    """What a boat costs."""
    if distance < MINIMUM:
'''
OTHER = "class Window:\n    def paint(self, canvas):\n        canvas.fill(self.colour)\n"


def index_of(**files: str) -> Index:
    texts = {f"{name}.py": Text(text) for name, text in files.items()}
    return build(WorkspaceSnapshot(root=None, name="shop", files=texts))


def test_the_same_written_elsewhere_is_found_the_most_like_last() -> None:
    """And nothing that is about something else."""
    nearer = BUSES.replace("bus", "boat")
    index = index_of(here=HERE, trains=TRAINS, boats=nearer, windows=OTHER)
    found = similar_code(index, "here.py", len(HERE), Span(0, len(HERE)), 5000)
    assert [excerpt.path for excerpt in found] == ["trains.py", "boats.py"]
    assert [excerpt.text for excerpt in found] == [TRAINS, nearer]
    assert LEAST_LIKE <= found[0].likeness < found[1].likeness <= 1


def test_what_is_seen_anyway_is_not_shown_again() -> None:
    """Of the file itself only what stands elsewhere."""
    text = f"{TRAINS}\n\n{OTHER}\n\n{BUSES}\n\n{HERE}"
    index = index_of(here=text)
    shown = Span(text.index(BUSES), len(text))
    found = similar_code(index, "here.py", len(text), shown, 5000)
    assert found[-1].text.strip() == TRAINS.strip()
    assert not [excerpt for excerpt in found if "bus" in excerpt.text]
    assert similar_code(index, "here.py", len(text), Span(0, len(text)), 5000) == ()


def test_there_is_no_more_than_was_asked_for() -> None:
    """In characters, the most like first; and no more pieces than can be of use."""
    index = index_of(here=HERE, **{f"like{n}": TRAINS.replace("train", f"kind{n}") for n in range(9)})
    whole = Span(0, len(HERE))
    assert len(similar_code(index, "here.py", len(HERE), whole, 100_000)) == MOST_PIECES
    assert len(similar_code(index, "here.py", len(HERE), whole, len(TRAINS) + 20)) == 1
    assert similar_code(index, "here.py", len(HERE), whole, 50) == ()


def test_a_copy_is_not_shown_again() -> None:
    """There is room for something else."""
    index = index_of(here=HERE, trains=TRAINS, old_trains=TRAINS, buses=BUSES)
    found = similar_code(index, "here.py", len(HERE), Span(0, len(HERE)), 5000)
    assert sorted(excerpt.text for excerpt in found) == sorted([TRAINS, BUSES])


def test_a_long_function_is_shown_in_part_and_no_line_of_it_twice() -> None:
    """The part that is like the place."""
    lines = [f"    canvas.paint(shape, {n})" for n in range(3 * WINDOW)]
    lines[2 * WINDOW : 2 * WINDOW] = [*HERE.splitlines()[2:], "        raise FareError(distance, passengers)"]
    index = index_of(here=HERE, long="\n".join(["def paint_all(canvas):", *lines]) + "\n")
    found = similar_code(index, "here.py", len(HERE), Span(0, len(HERE)), 100_000)
    assert all(excerpt.text.count("\n") <= WINDOW for excerpt in found)
    assert any("raise FareError(distance, passengers)" in excerpt.text for excerpt in found)
    shown = [line for excerpt in found for line in excerpt.text.splitlines()]
    assert len(shown) == len(set(shown))


def test_prose_and_an_empty_file_are_no_code() -> None:
    """They are asked about without harm."""
    files = {"a.md": Text(TRAINS), "b.py": Text(""), "c.py": Text(HERE)}
    index = build(WorkspaceSnapshot(root=None, name="shop", files=files))
    assert similar_code(index, "c.py", len(HERE), Span(0, len(HERE)), 5000) == ()
    assert similar_code(index, "b.py", 0, Span(0, 0), 5000) == ()


def test_in_a_large_repository_the_rare_names_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files are looked at, and the right ones."""
    looked: list[str] = []
    pieces = similar._pieces
    monkeypatch.setattr(similar, "_pieces", lambda file, shown: looked.append(file.path) or pieces(file, shown))
    often = "".join(f"def use_{n}(distance, passengers):\n    return rate_of(distance)\n" for n in range(3))
    index = index_of(here=HERE, trains=TRAINS, **{f"use{n}": often for n in range(300)})
    found = similar_code(index, "here.py", len(HERE), Span(0, len(HERE)), 5000)
    assert found[-1].path == "trains.py"
    assert looked == ["here.py", "trains.py"]


@given(st.lists(st.sampled_from([TRAINS, BUSES, HERE, OTHER, "\n", "x = 1\n"]), max_size=6), st.data())
def test_excerpts_are_whole_lines_that_stand_outside_of_what_is_shown(parts: list[str], data: st.DataObject) -> None:
    """Whatever the files and the place."""
    text = "".join(parts)
    index = index_of(here=text, there="".join(reversed(parts)))
    offset = data.draw(st.integers(0, len(text)))
    start, end = data.draw(st.integers(0, offset)), data.draw(st.integers(offset, len(text)))
    for excerpt in similar_code(index, "here.py", offset, Span(start, end), 700):
        content = index.files[excerpt.path].text.content
        assert excerpt.text in content
        assert f"\n{content}".find(f"\n{excerpt.text}") >= 0
        if excerpt.path == "here.py":
            assert excerpt.text in content[:start] or excerpt.text in content[end:]
