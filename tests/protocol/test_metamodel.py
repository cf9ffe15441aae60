"""The checker itself: by hand-made messages, and against the labels of 21,593 made by somebody else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.protocol.dataset import Sample, samples
from tests.protocol.metamodel import MAX, MetaModel, meta_model, reference

PLACE = {"line": 0, "character": 0}
RANGE = {"start": PLACE, "end": PLACE}
AT = {"textDocument": {"uri": "file:///a.py"}, "position": PLACE}


def base(name: str) -> dict[str, str]:
    return {"kind": "base", "name": name}


VALID: list[tuple[Any, Any]] = [
    (base("integer"), -MAX - 1),
    (base("uinteger"), MAX),
    (base("decimal"), 2**40),
    (base("decimal"), 0.5),
    (base("null"), None),
    (reference("LSPAny"), [{"a": [None, 1e300]}]),
    (reference("LSPObject"), {"a": 1}),
    (reference("Range"), RANGE),
    (reference("Range"), {**RANGE, "more": 1}),
    (reference("CodeActionKind"), "quickfix.mine"),
    (reference("ProgressToken"), "token"),
    (reference("MarkedString"), {"language": "python", "value": "x"}),
    (reference("WorkDoneProgressEnd"), {"kind": "end"}),
    (reference("DidChangeTextDocumentParams"), {"textDocument": {"uri": "", "version": 1}, "contentChanges": []}),
    (reference("WorkspaceEdit"), {"changes": {"file:///a.py": [{"range": RANGE, "newText": ""}]}}),
    ({"kind": "tuple", "items": [base("uinteger"), base("string")]}, [1, "a"]),
    ({"kind": "and", "items": [reference("Position"), reference("LSPObject")]}, PLACE),
    ({"kind": "map", "key": base("integer"), "value": base("string")}, {"-1": "a"}),
    ({"kind": "stringLiteral", "value": "full"}, "full"),
]

INVALID: list[tuple[Any, Any, str]] = [
    (base("integer"), MAX + 1, "x: not a integer"),
    (base("integer"), 1.0, "x: not a integer"),
    (base("integer"), True, "x: not a integer"),
    (base("uinteger"), -1, "x: not a uinteger"),
    (base("decimal"), True, "x: not a decimal"),
    (base("boolean"), 1, "x: not a boolean"),
    (base("null"), False, "x: not a null"),
    (base("string"), None, "x: not a string"),
    (reference("LSPObject"), [], "x: not an object"),
    (reference("Range"), [], "x: not an object"),
    (reference("Range"), {"start": PLACE}, "x.end: missing"),
    (reference("Range"), {"start": PLACE, "end": {"line": -1, "character": 0}}, "x.end.line: not a uinteger"),
    (reference("MarkupKind"), "html", "x: not a MarkupKind"),
    (reference("InlineCompletionTriggerKind"), 3, "x: not a InlineCompletionTriggerKind"),
    (reference("CodeActionKind"), 1, "x: not a string"),
    (reference("ProgressToken"), None, "x: fits nothing of: x: not a integer; x: not a string"),
    (reference("WorkDoneProgressEnd"), {"kind": "begin"}, "x.kind: not 'end'"),
    (reference("CompletionParams"), {"textDocument": {"uri": "a"}}, "x.position: missing"),  # what it extends
    (reference("CompletionParams"), {**AT, "workDoneToken": 0.5}, "x.workDoneToken: fits nothing"),  # what it mixes in
    (reference("WorkspaceEdit"), {"changes": {"a": [{}]}}, "x.changes.a[0].range: missing"),
    (reference("Diagnostic"), {"range": RANGE, "message": "", "severity": None}, "x.severity: not a uinteger"),
    ({"kind": "array", "element": base("string")}, "a", "x: not an array"),
    ({"kind": "array", "element": base("string")}, ["a", 1], "x[1]: not a string"),
    ({"kind": "tuple", "items": [base("uinteger"), base("string")]}, [1], "x: not an array of 2"),
    ({"kind": "tuple", "items": [base("uinteger"), base("string")]}, [1, 2], "x[1]: not a string"),
    ({"kind": "and", "items": [reference("Position"), reference("Range")]}, PLACE, "x.start: missing"),
    ({"kind": "map", "key": base("integer"), "value": base("string")}, {"a": "a"}, "x, key a: not a integer"),
    ({"kind": "map", "key": base("string"), "value": base("string")}, ["a"], "x: not an object"),
    ({"kind": "literal", "value": {"properties": [{"name": "a", "type": base("null")}]}}, {}, "x.a: missing"),
    ({"kind": "stringLiteral", "value": "full"}, "fuller", "x: not 'full'"),
]


@pytest.mark.parametrize(("type_", "value"), VALID)
def test_a_value_that_fits(type_: Any, value: Any) -> None:
    assert meta_model().complaint(type_, value, "x") is None


@pytest.mark.parametrize(("type_", "value", "complaint"), INVALID)
def test_a_value_that_does_not_fit(type_: Any, value: Any, complaint: str) -> None:
    """The complaint names the place."""
    assert (meta_model().complaint(type_, value, "x") or "").startswith(complaint)


def request(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "textDocument/completion", "params": AT, **members}


def answer(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, **members}


def test_messages_that_fit() -> None:
    """Requests, notifications and answers."""
    model = meta_model()
    assert model.message(request()) is None
    assert model.message({"jsonrpc": "2.0", "id": "a", "method": "shutdown"}) is None
    assert model.message({"jsonrpc": "2.0", "method": "initialized", "params": {}}) is None
    assert model.message(answer(result=None), "textDocument/completion") is None
    assert model.message(answer(result=[{"label": "a"}]), "textDocument/completion") is None
    assert model.message(answer(error={"code": 1, "message": ""}, id=None), "shutdown") is None
    retrigger = {"code": -32802, "message": "", "data": {"retriggerRequest": False}}
    assert model.message(answer(error=retrigger), "textDocument/diagnostic") is None


@pytest.mark.parametrize(
    ("message", "answered", "complaint"),
    [
        ([], None, "a message is an object"),
        (request(jsonrpc="1.0"), None, 'jsonrpc is not "2.0"'),
        (request(method=None), None, "no method"),
        (request(method="no/such"), None, "no/such is not in the meta model"),
        (request(id=None), None, "id: fits nothing"),
        (request(params=None), None, "params: not an object"),
        (request(method="shutdown"), None, "shutdown takes no parameters"),
        (request(method="exit"), None, "exit takes no id"),
        (answer(), "shutdown", "neither or both"),
        (answer(result=None, error=None), "shutdown", "neither or both"),
        (answer(result=1), "shutdown", "result: not a null"),
        (answer(result=None, id=None), "shutdown", "id: fits nothing"),
        (answer(error={"code": "1", "message": ""}), "shutdown", "error.code: not a integer"),
        (answer(error={"code": 1, "message": ""}, id=1.5), "shutdown", "id: fits nothing"),
        ({"jsonrpc": "2.0", "error": {"code": 1, "message": ""}}, "shutdown", "id: missing"),
        (
            answer(error={"code": -32802, "message": "", "data": {}}),
            "textDocument/diagnostic",
            "error.data.retriggerRequest: missing",
        ),
    ],
)
def test_messages_that_do_not_fit(message: Any, answered: str | None, complaint: str) -> None:
    assert (meta_model().message(message, answered) or "").startswith(complaint)


def test_a_meta_model_with_an_unknown_kind_of_type_is_noticed() -> None:
    """A newer meta model must not pass unchecked."""
    empty = {"requests": [], "notifications": [], "structures": [], "enumerations": [], "typeAliases": []}
    with pytest.raises(AssertionError, match="not known here: new"):
        MetaModel(empty).complaint({"kind": "new"}, 1, "x")


# -- the labelled messages ---------------------------------------------------------------------------------------------


def test_the_labels_of_the_data_set() -> None:
    """All valid messages pass; of the invalid ones all but those that the meta model allows after all."""
    found = Counter((sample.valid, complaint_about(sample) is None) for sample in samples())
    assert found == {(True, True): 2712, (False, False): 18866, (False, True): 15}


def test_what_the_data_set_calls_invalid_but_the_meta_model_allows() -> None:
    """A change of a text with a wrong `rangeLength` or range is also a change of all of it, with members to ignore."""
    excused = [sample for sample in samples() if not sample.valid and complaint_about(sample) is None]
    assert {sample.kind for sample in excused} == {"DidChangeTextDocumentNotification"}
    whole = reference("TextDocumentContentChangeWholeDocument")
    for sample in excused:
        changes = sample.message["params"]["contentChanges"]
        assert any("rangeLength" in change for change in changes)
        assert all(meta_model().complaint(whole, change, "") is None for change in changes)


def complaint_about(sample: Sample) -> str | None:
    """An answer of the data set has both a result and an error: it is two answers, and is checked as such."""
    model, message = meta_model(), sample.message
    if not sample.kind.endswith("Response"):
        return model.message(message)
    method = answered_by(sample.kind)
    halves = [{name: message[name] for name in message if name != left_out} for left_out in ("result", "error")]
    return model.message(halves[1], method) or model.message(halves[0], method)


def answered_by(kind: str) -> str:
    """`ShutdownResponse` answers `shutdown`."""
    name = kind.removesuffix("Response") + "Request"
    return next(request["method"] for request in meta_model().requests.values() if request["typeName"] == name)
