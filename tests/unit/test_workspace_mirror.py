"""Open documents follow the editor: checked against a model that keeps UTF-16 units and nothing else."""

from __future__ import annotations

import gc
import re
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.text import PositionEncoding, Text
from gemma_lsp.workspace import mirror
from gemma_lsp.workspace.mirror import DocumentProblem, OpenDocument, OpenDocuments, RawChange, RawPosition, RawRange

URI = "file:///a.py"
RAW = st.text(alphabet=st.sampled_from("ab\r\nü€😀"), max_size=30)
NUMBER = st.integers(-1, 12)
RANGE = st.builds(RawRange, st.builds(RawPosition, NUMBER, NUMBER), st.builds(RawPosition, NUMBER, NUMBER))
UTF16 = PositionEncoding.UTF16


def changed(documents: OpenDocuments, *changes: RawChange, version: int = 2) -> OpenDocument:
    document = documents.change(URI, version, changes, UTF16)
    assert isinstance(document, OpenDocument)
    return document


def at(line: int, unit: int) -> RawRange:
    return RawRange(RawPosition(line, unit), RawPosition(line, unit))


class EditorModel:
    """A document as a list of UTF-16 units, edited as the protocol says it."""

    def __init__(self, raw: str) -> None:
        self.units = self.encoded(raw)

    @staticmethod
    def encoded(raw: str) -> list[str]:
        data = raw.encode("utf-16-le", "surrogatepass")
        return [data[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(data), 2)]

    @property
    def raw(self) -> str:
        return "".join(self.units).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def offset(self, position: RawPosition) -> int:
        text = "".join(self.units)
        starts = [0, *(match.end() for match in re.finditer("\r\n|\n|\r", text))]
        ends = [*(match.start() for match in re.finditer("\r\n|\n|\r", text)), len(text)]
        if position.line < 0:
            return 0
        if position.line >= len(starts):
            return len(text)
        offset = min(starts[position.line] + max(0, position.unit), ends[position.line])
        inside_pair = 0 < offset < len(text) and "\udc00" <= text[offset] <= "\udfff"
        return offset - 1 if inside_pair else offset

    def change(self, change: RawChange) -> None:
        if change.range is None:
            self.units = self.encoded(change.text)
            return
        start, end = sorted((self.offset(change.range.start), self.offset(change.range.end)))
        self.units[start:end] = self.encoded(change.text)


@settings(deadline=None)
@given(RAW, st.lists(st.builds(RawChange, st.one_of(st.none(), RANGE, RANGE, RANGE), RAW), max_size=6))
def test_any_changes_give_what_the_editor_has(raw: str, changes: list[RawChange]) -> None:
    """CRLF, lone CR, both split and joined by edits, pairs of surrogates, places outside the text."""
    documents, model = OpenDocuments(), EditorModel(raw)
    documents.open(URI, 1, "python", raw)
    for change in changes:
        model.change(change)
    document = changed(documents, *changes)
    assert document.raw == model.raw
    assert document.text == Text.normalised(model.raw)


@settings(deadline=None)
@given(RAW, st.lists(st.lists(st.builds(RawChange, st.one_of(RANGE, RANGE, st.none()), RAW), max_size=3), max_size=5))
def test_every_version_is_as_if_it_had_been_opened(raw: str, notifications: list[list[RawChange]]) -> None:
    """Where its lines begin, in the editor's line ends too, and what it has of the version before."""
    documents = OpenDocuments()
    before = documents.open(URI, 1, "python", raw)
    for changes in notifications:
        document = changed(documents, *changes)
        fresh = OpenDocuments().open(URI, 2, "python", document.raw)
        assert document.text == fresh.text
        assert list(document.text.line_starts) == list(fresh.text.line_starts)
        assert document.starts is None or list(document.starts) == list(fresh.starts or ())
        old, new = before.text.content, document.text.content
        head, tail = document.text.shared_with(old)
        assert (old[:head], old[len(old) - tail :]) == (new[:head], new[len(new) - tail :])
        before = document


ANY_CHANGE = st.builds(RawChange, st.one_of(RANGE, RANGE, RANGE, st.none()), RAW)


@settings(deadline=None)
@given(st.data(), RAW, st.lists(st.lists(ANY_CHANGE, max_size=2), min_size=1, max_size=6))
def test_versions_say_the_order_of_changes(data: st.DataObject, raw: str, notifications: list[list[RawChange]]) -> None:
    """Helix sends several of one moment in any order."""
    ordered, documents = OpenDocuments(), OpenDocuments()
    for each in (ordered, documents):
        each.open(URI, 1, "python", raw)
        changed(each, RawChange(at(0, 0), "x"), version=2)
    sent = list(enumerate(notifications, start=3))
    for version, changes in sent:
        expected = changed(ordered, *changes, version=version)
    for version, changes in data.draw(st.permutations(sent)):
        document = changed(documents, *changes, version=version)
    assert (document.raw, document.text, document.version) == (expected.raw, expected.text, expected.version)


def test_a_client_without_versions_is_followed_as_it_comes() -> None:
    """One version for all changes, or one that begins anew long after."""
    documents = OpenDocuments()
    documents.open(URI, 0, "python", "")
    for letter in "cba":
        document = changed(documents, RawChange(at(0, 0), letter), version=0)
    assert document.raw == "abc"
    changed(documents, RawChange(at(0, 3), "d"), version=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "LATE_S", -1.0)
        assert changed(documents, RawChange(at(0, 4), "e"), version=1).raw == "abcde"


def test_what_is_remembered_of_a_long_document_is_bounded() -> None:
    """What comes too late is put as early as is known, and nothing of it is lost."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "x" * 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "LATE_CHARS", 250)
        for version in (2, 3, 5, 6, 7, 8):
            changed(documents, RawChange(at(0, 0), f"{version}"), version=version)
        assert changed(documents, RawChange(at(0, 0), "4"), version=4).raw == "8746532" + "x" * 100


def test_a_pair_of_surrogates_may_arrive_in_halves() -> None:
    """Until the second half is there the text shows U+FFFD; then the code point that they are."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "x\n")
    half = changed(documents, RawChange(at(0, 1), "\ud83d"))
    assert half.text.content == "x\ufffd\n"
    assert changed(documents, RawChange(at(0, 2), "\ude00")).text.content == "x😀\n"


@pytest.mark.parametrize(("encoding", "unit"), [("utf-8", 6), ("utf-16", 3), ("utf-32", 2)])
def test_units_are_those_of_the_negotiated_encoding(encoding: str, unit: int) -> None:
    """The same place, three ways to say it."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "ü😀b")
    document = documents.change(URI, 2, [RawChange(at(0, unit), "|")], PositionEncoding(encoding))
    assert isinstance(document, OpenDocument)
    assert document.raw == "ü😀|b"


def test_a_crlf_document_keeps_its_line_ends() -> None:
    """What the editor counts in and what the core sees differ in nothing but line ends."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "a\r\nb\rc\n")
    document = changed(documents, RawChange(at(2, 1), "d\r\n"))
    assert document.raw == "a\r\nb\rcd\r\n\n"
    assert document.text.content == "a\nb\ncd\n\n"


def test_changes_of_one_notification_build_on_each_other() -> None:
    """The second one's range refers to the text after the first."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "")
    document = changed(documents, RawChange(None, "one\n"), RawChange(at(1, 0), "two\n"), version=7)
    assert (document.raw, document.version, document.language_id) == ("one\ntwo\n", 7, "python")
    assert changed(documents, version=8).raw == "one\ntwo\n"


def test_a_document_that_is_not_open_is_a_reported_problem() -> None:
    """Neither a change nor a close raises; nothing is opened by it."""
    documents = OpenDocuments()
    problems = [documents.change(URI, 2, [RawChange(None, "x")], UTF16), documents.close(URI)]
    assert all(isinstance(problem, DocumentProblem) and problem.uri == URI for problem in problems)
    assert len(documents) == 0


def test_opening_twice_takes_the_later_text_and_closing_gives_it_back() -> None:
    """The documents can be listed and looked up by uri in between."""
    documents = OpenDocuments()
    documents.open(URI, 1, "python", "old")
    opened = documents.open(URI, 2, "python", "new")
    assert (list(documents), documents.get(URI), URI in documents) == ([opened], opened, True)
    assert documents.close(URI) == opened
    assert (list(documents), documents.get(URI), URI in documents) == ([], None, False)


def test_states_that_are_too_old_are_let_go_of_in_every_document() -> None:
    """One types in one document after the other, and all of them stay open."""
    documents, now = OpenDocuments(), 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gemma_lsp.workspace.mirror.time.monotonic", lambda: now)
        documents.open(URI, 1, "python", "x" * 100)
        old = weakref.ref(changed(documents, RawChange(at(0, 0), "a"), version=2).text)
        changed(documents, RawChange(at(0, 0), "b"), version=3)
        gc.collect()
        assert old() is not None
        now = mirror.LATE_S + 1
        documents.open("file:///b.py", 1, "python", "")
        documents.change("file:///b.py", 2, [RawChange(at(0, 0), "c")], UTF16)
        gc.collect()
        assert old() is None


def test_a_client_that_counts_anew_is_followed_soon_after() -> None:
    """Also where one goes on typing without a pause."""
    documents, now = OpenDocuments(), 0.0
    documents.open(URI, 1, "python", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gemma_lsp.workspace.mirror.time.monotonic", lambda: now)
        changed(documents, RawChange(at(0, 0), "z"), version=99)
        for n in range(1, 9):
            now = n * mirror.LATE_S / 2
            version = changed(documents, RawChange(at(0, 0), "a"), version=n).version
        assert version == 8
