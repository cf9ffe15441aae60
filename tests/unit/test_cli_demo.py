"""The demo's parts that need no model: the sample, the screen on a plain console, the client against small servers."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from gemma_lsp.bench.editor_client import EditorClient, ServerError
from gemma_lsp.cli.demo import sample
from gemma_lsp.cli.demo.screen import Screen
from gemma_lsp.cli.terminal import TerminalHost, cost_line
from gemma_lsp.engine.messages import Cost

READ = """
import json, sys
def read():
    length = int(sys.stdin.buffer.readline().split(b":")[1])
    sys.stdin.buffer.readline()
    return json.loads(sys.stdin.buffer.read(length))
def write(**message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
    sys.stdout.buffer.flush()
"""
ECHO = """
write(method="hello", params={"n": 1})
while (message := read())["method"] != "shutdown":
    if message["method"] == "fail":
        write(id=message["id"], error={"code": 1, "message": "no"})
        continue
    write(id="s1", method="workspace/configuration", params={"items": [1, 2]})
    write(id=message["id"], result=[message["params"], read()["result"]])
write(id=message["id"], result=None)
"""


async def started(server: str, log: Path, heard: list[tuple[str, object]]) -> EditorClient:
    command = [sys.executable, "-c", READ + server]
    return await EditorClient.start(command, log, lambda method, params: heard.append((method, params)))


async def test_a_request_is_answered_and_a_server_s_request_too(tmp_path: Path) -> None:
    """Notifications are heard, errors raised, and the server ends when asked to."""
    heard: list[tuple[str, object]] = []
    client = await started(ECHO, tmp_path / "log", heard)
    assert await client.request("echo", {"a": "é"}) == [{"a": "é"}, [None, None]]
    with pytest.raises(ServerError, match="no"):
        await client.request("fail", None)
    await client.stop()
    assert heard == [("hello", {"n": 1})]


async def test_a_server_that_dies_fails_what_was_asked(tmp_path: Path) -> None:
    """And everything asked afterwards."""
    client = await started("read(); print('why', file=sys.stderr); sys.exit(3)", tmp_path / "log", [])
    with pytest.raises(ServerError, match="stopped"):
        await client.request("anything", None)
    await client.stop()
    with pytest.raises(ServerError, match="exit code 3"):
        client.notify("anything", None)
    assert "why" in (tmp_path / "log").read_text()


def test_the_sample_has_what_the_script_needs(tmp_path: Path) -> None:
    """The name to be renamed, the bug's line once, and no file yet at the spot."""
    root = sample.copy_sample(tmp_path)
    start, end = sample.find((root / sample.EDIT.path).read_text(), sample.EDIT.old)
    assert end["character"] - start["character"] == len(sample.EDIT.old)
    assert start["line"] == end["line"]
    bug = sample.planted_bug()
    assert (root / bug.path).read_text().count(bug.line_text) == 1
    assert not (root / sample.SPOT.path).exists()


def test_the_cursor_stands_behind_what_was_typed() -> None:
    """Lines and columns count from zero."""
    assert sample.Spot(path="a.py", typed="x\n  yz").position == {"line": 1, "character": 4}
    assert sample.find("ab\ncde\n", "de") == ({"line": 1, "character": 1}, {"line": 1, "character": 3})


def test_without_the_repository_the_demo_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed package has no fixtures."""
    monkeypatch.setattr(sample.gemma_lsp, "__file__", str(tmp_path / "gemma_lsp" / "__init__.py"))
    with pytest.raises(sample.ConfigError, match="clone the repository"):
        sample.fixtures()


def test_a_plain_screen_writes_lines() -> None:
    """Progress in quarters, results as text, markup of the model's never taken for ours."""
    written = io.StringIO()
    screen = Screen(Console(file=written, width=120))
    screen.heading("Step")
    screen.progress("t", {"kind": "begin", "title": "reading"})
    for percentage in (1, 26, 27, 60):
        screen.progress("t", {"kind": "report", "message": f"{percentage} of 100", "percentage": percentage})
    screen.progress("t", {"kind": "end", "message": "100 tokens"})
    screen.stream("[bold]x[/]")
    screen.side_by_side(("before", "a = 1"), ("after", "a = 2"))
    screen.table(("answer", "tokens"), [("one", 1234)])
    screen.close()
    text = written.getvalue()
    assert "== Step" in text
    assert [line.strip() for line in text.splitlines() if "of 100" in line] == [
        "reading: 26 of 100",
        "reading: 60 of 100",
    ]
    assert "\nreading: 100 tokens" in text
    assert "[bold]x[/]" in text
    assert "before:\n    a = 1\nafter:\n    a = 2\n" in text
    assert "1,234" in text


async def test_a_terminal_host_waits_and_warns_once() -> None:
    """Every way in which the app speaks wakes whoever waits."""
    written = io.StringIO()
    with TerminalHost(Console(file=written, width=120)) as host:
        host.begin_task("work").end("done")
        host.warn("careful")
        host.warn("careful")
        host.answered("warm", Cost(reused=1), "done")
        await host.until(lambda: "warm" in host.costs)
    assert written.getvalue().count("careful") == 1
    assert written.getvalue().splitlines()[0] == "work: done"  # no tick: work that was stopped ends in the same way
    assert host.has_said("careful")
    assert not host.has_said("done")


def test_a_cost_is_said_in_words() -> None:
    """Masked tokens only where there are any."""
    assert cost_line(Cost(reused=1200, evaluated=30, generated=4, first_token_ms=50, total_ms=1500)) == (
        "1,200 tokens reused, 30 evaluated, 4 generated, first token after 50 ms, 1.5 s in all, exact"
    )
    assert "7 masked" in cost_line(Cost(hidden=7, exact=False))
