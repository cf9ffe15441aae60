"""Conversion at the edge: positions in every encoding, URIs, what clients say about themselves, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types
from pygls.protocol import default_converter

from gemma_lsp.features.completion import completion_item as as_item
from gemma_lsp.features.inline import InlineItem
from gemma_lsp.server.client import Client, client_of
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.arguments import AskArguments, ExplainArguments
from gemma_lsp.server.convert.positions import Positions, choose_encoding, raw_change
from gemma_lsp.server.convert.uris import path_of, uri_of
from gemma_lsp.server.errors import LspError
from gemma_lsp.text import PositionEncoding, Span, Text

TEXTS = st.text(alphabet="ab\n\tüß漢\U0001f40d\u0301\u2028")
WIDTHS = {PositionEncoding.UTF8: "utf-8", PositionEncoding.UTF16: "utf-16-le", PositionEncoding.UTF32: "utf-32-le"}
UNITS = {PositionEncoding.UTF8: 1, PositionEncoding.UTF16: 2, PositionEncoding.UTF32: 4}


@given(TEXTS, st.sampled_from(list(PositionEncoding)), st.data())
def test_an_offset_survives_the_way_out_and_back(content: str, encoding: PositionEncoding, data: st.DataObject) -> None:
    """Every offset has a position that means it, and its units are those of the encoding."""
    text, positions = Text(content), Positions(encoding)
    offset = data.draw(st.integers(0, len(content)))
    position = positions.to_position(text, offset)
    assert positions.offset(text, position) == offset
    line_start = content.rfind("\n", 0, offset) + 1
    assert position.line == content.count("\n", 0, offset)
    assert position.character == len(content[line_start:offset].encode(WIDTHS[encoding])) // UNITS[encoding]


@given(TEXTS, st.sampled_from(list(PositionEncoding)), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_every_position_means_a_place_in_the_text(
    content: str, encoding: PositionEncoding, line: int, character: int
) -> None:
    """Past a line's end is its end, past the last line the text's end."""
    text = Text(content)
    offset = Positions(encoding).offset(text, types.Position(line, character))
    assert 0 <= offset <= len(content)
    if line < text.n_lines:
        assert text.position(offset).line == line
    else:
        assert offset == len(content)


@given(TEXTS, st.sampled_from(list(PositionEncoding)), st.data())
def test_a_range_may_be_turned_round(content: str, encoding: PositionEncoding, data: st.DataObject) -> None:
    """The same span either way."""
    text, positions = Text(content), Positions(encoding)
    a, b = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))
    first, second = positions.to_position(text, a), positions.to_position(text, b)
    span = Span(min(a, b), max(a, b))
    assert positions.span(text, types.Range(first, second)) == span
    assert positions.span(text, types.Range(second, first)) == span
    assert positions.to_range(text, span) == types.Range(min(first, second), max(first, second))


def test_a_position_inside_a_code_point_is_the_place_before_it() -> None:
    """Half a surrogate pair, the middle of UTF-8 bytes."""
    text = Text("x\U0001f40dy")
    assert Positions(PositionEncoding.UTF16).offset(text, types.Position(0, 2)) == 1
    assert Positions(PositionEncoding.UTF8).offset(text, types.Position(0, 4)) == 1


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["utf-8", "utf-16"], "utf-8"),
        (["utf-7", "utf-32", "utf-8"], "utf-32"),
        (["utf-7"], "utf-16"),
        ([types.PositionEncodingKind.Utf8], "utf-8"),
    ],
)
def test_the_first_known_encoding_of_the_client_is_taken(offered: list[Any] | None, chosen: str) -> None:
    """UTF-16 where it offers none that we know."""
    assert choose_encoding(offered).value == chosen


def test_changes_keep_the_clients_units() -> None:
    """The mirror converts them, because they count in the text before each change."""
    whole = raw_change(types.TextDocumentContentChangeWholeDocument(text="a\r\n"))
    assert (whole.range, whole.text) == (None, "a\r\n")
    range_ = types.Range(types.Position(1, 2), types.Position(3, 4))
    part = raw_change(types.TextDocumentContentChangePartial(range=range_, text=""))
    assert part.range is not None
    assert (part.range.start.line, part.range.start.unit, part.range.end.line, part.range.end.unit) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b%20c/%C3%BC.py", "/a/b c/ü.py"),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/a/b.ipynb#W0", None),
        ("https://example.org/a.py", None),
        ("file:///a%00b", None),
        ("file:relative", None),
        ("", None),
        ("%", None),
        ("file://[broken/a", None),
    ],
)
def test_only_files_have_paths(uri: str, path: str | None) -> None:
    """Whatever else a client calls a document is no path, and no error either."""
    assert path_of(uri) == (Path(path) if path else None)


@given(st.text(alphabet="ab /#?%ü漢'\"\\", min_size=1).filter(lambda s: "\0" not in s))
def test_a_path_survives_its_uri(name: str) -> None:
    """Every character of a path comes back."""
    path = Path("/work") / name.strip("/") if name.strip("/") else Path("/work")
    assert path_of(uri_of(path)) == path


def initialize(**params: Any) -> Client:
    raw = {"processId": None, "rootUri": None, "capabilities": {}, **params}
    return client_of(default_converter().structure(raw, types.InitializeParams))


def test_a_client_that_says_nothing_can_do_nothing() -> None:
    """Emacs' eglot sends no clientInfo; rootUri may be null, folders may be missing or null."""
    client = initialize()
    assert client == Client()
    assert initialize(workspaceFolders=None, rootPath=None, trace="off").folders == ()


def test_folders_come_from_whatever_the_client_sends() -> None:
    """workspaceFolders, or else rootUri, or else rootPath; what is no file is left out."""
    folders = [{"uri": "file:///a", "name": "first"}, {"uri": "vscode-remote://x/b", "name": "b"}]
    assert initialize(workspaceFolders=folders, rootUri="file:///z").folders == ((Path("/a"), "first"),)
    assert initialize(workspaceFolders=[], rootUri="file:///z").folders == ((Path("/z"), "z"),)
    assert initialize(rootPath="/y/x").folders == ((Path("/y/x"), "x"),)


def test_what_a_client_offers_is_read() -> None:
    """Capabilities of the protocol, and our own under experimental."""
    client = initialize(
        clientInfo={"name": "Neovim"},
        capabilities={
            "general": {"positionEncodings": ["utf-32", "utf-16"]},
            "textDocument": {"inlineCompletion": {"dynamicRegistration": True}, "diagnostic": {}},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}},
            "experimental": {"gemmaLsp": {"stream": True, "cost": False}},
        },
    )
    assert client.is_neovim
    assert client.encoding is PositionEncoding.UTF32
    assert client.inline_completion
    assert client.inline_dynamic
    assert client.pulls_diagnostics
    assert client.progress
    assert client.shows_documents
    assert client.configuration
    assert client.watches_files
    assert (client.streams, client.wants_cost) == (True, False)


@pytest.mark.parametrize(("name", "seen"), [("helix", False), ("Neovim", True), ("", True)])
def test_helix_does_not_see_what_others_do_to_files(name: str, seen: bool) -> None:
    """Although it says that it watches them: it reports what it writes itself."""
    can = {"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}
    assert initialize(capabilities=can, clientInfo={"name": name}).sees_the_disk is seen
    assert not initialize(capabilities={}, clientInfo={"name": name}).sees_the_disk


@pytest.mark.parametrize("experimental", [None, 3, [], {"gemmaLsp": None}, {"gemmaLsp": {"stream": "yes"}}, {"x": 1}])
def test_odd_experimental_capabilities_mean_nothing(experimental: Any) -> None:
    """Anything may stand there."""
    client = initialize(capabilities={"experimental": experimental})
    assert not client.streams


@pytest.mark.parametrize(("name", "has_range"), [("Visual Studio Code", True), ("Neovim", False), ("", True)])
def test_neovim_gets_an_insertion_without_a_range(name: str, has_range: bool) -> None:
    """It would draw over what stands right of the cursor; VS Code would replace the rest of the line."""
    text = Text("x = \ny")
    item = InlineItem("1", Span(4, 4))
    got = answers.inline_item(item, text, text.position(4), Positions(), Client(name=name))
    assert (got.range is not None) == has_range
    replacing = answers.inline_item(InlineItem("1", Span(4, 5)), text, text.position(4), Positions(), Client(name=name))
    assert replacing.range == types.Range(types.Position(0, 4), types.Position(1, 0))


def test_a_completion_item_has_the_form_that_every_editor_inserts_whole() -> None:
    """Plain text without an edit, filtered by the typed word, selected first."""
    item = answers.completion_item(as_item("a(x):\n        return 1", "    def are", 11))
    assert item.insert_text == "area(x):\n    return 1"
    assert item.filter_text == "are"
    assert item.text_edit is None
    assert item.insert_text_format is types.InsertTextFormat.PlainText
    assert (item.preselect, item.sort_text) == (False, "~")


def test_the_arguments_of_explain() -> None:
    """A place, or the selection of before; whatever else is an invalid parameter."""
    range_ = {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 3}}
    reported = {"line": 4, "source": "ruff", "message": "unused"}
    args = ExplainArguments.read([{"uri": "u", "range": range_, "diagnostics": [reported], "id": 7}], None)
    assert args.uri == "u"
    assert args.range == types.Range(types.Position(1, 0), types.Position(2, 3))
    assert (args.diagnostics[0].line, args.diagnostics[0].source, args.id) == (4, "ruff", "7")
    before = ("v", types.Range(types.Position(0, 0), types.Position(0, 1)))
    assert ExplainArguments.read([], before).uri == "v"
    assert ExplainArguments.read([None], None).uri == ""
    traced = ExplainArguments.read([{"traceback": "TypeError", "about": "code"}], before)
    assert (traced.uri, traced.traceback, traced.about) == ("", "TypeError", "code")


@pytest.mark.parametrize(
    "argument",
    [
        3,
        "text",
        {"uri": []},
        {"uri": "u"},
        {"uri": "u", "range": {"start": {}}},
        {"uri": "u", "range": {"start": {"line": "x", "character": 0}, "end": {"line": 0, "character": 0}}},
        {"diagnostics": 3},
        {"diagnostics": ["x"]},
        {"diagnostics": [{"line": "x"}]},
        {"about": "weather"},
    ],
)
def test_wrong_arguments_are_invalid_params(argument: Any) -> None:
    """Before anything runs."""
    with pytest.raises(LspError) as error:
        ExplainArguments.read([argument], None)
    assert error.value.code == types.ErrorCodes.InvalidParams


def test_the_arguments_of_ask() -> None:
    """A question, and perhaps where."""
    assert AskArguments.read([{"question": "why?", "uri": "u"}]) == AskArguments(question="why?", uri="u")
    assert AskArguments.read(()).question == ""
    place = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
    args = AskArguments.read([{"question": "why?", "uri": "u", "range": place, "follows": "a1"}])
    assert args.range == types.Range(types.Position(0, 0), types.Position(1, 0))
    assert args.follows == "a1"
    with pytest.raises(LspError):
        AskArguments.read([{"question": {"text": "why?"}}])
