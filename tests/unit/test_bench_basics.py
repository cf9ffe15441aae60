"""`bench basics` over the fake backend, a scripted llama-bench and a scripted server; no time is judged."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.basics import run as basics
from gemma_lsp.bench.basics import server as basics_server
from gemma_lsp.bench.basics import source as basics_source
from gemma_lsp.bench.basics.llama import LlamaBench, LlamaBenchError, find_llama_bench
from gemma_lsp.bench.basics.server import ServeOptions, ServingError, measure_serving
from gemma_lsp.bench.basics.source import NoSource, copy_library
from gemma_lsp.bench.basics.speed import SpeedError, SpeedOptions, measure_cancel, measure_speed, tokens_mb_per_s
from gemma_lsp.bench.basics.types import AGAINST_HINT, Basics, Cancelled, Goal, Indexing, Pace, Serving, Spread
from gemma_lsp.bench.pace.indexing import Latency
from gemma_lsp.cli.bench.basics import print_basics, write_json
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.spec import EngineSpec

SOURCE = "".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(80))
PROGRAM = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
{last}
"""
ANSWER = (
    'print(json.dumps([{"avg_ts": 50.0, "samples_ts": [49.0, 50.0, 90.0], "build_number": 7, "build_commit": "abc"}]))'
)
SPEC = EngineSpec(model="m.gguf", n_batch=256, kv_type="q8_0", flash_attention="on", nice=3)
NONE = Latency(n=1, p50_ms=1, p95_ms=1, p99_ms=1, max_ms=1)
ONE = Spread.of([1.0])


def llama_bench(folder: Path, last: str = ANSWER) -> LlamaBench:
    path = folder / "llama-bench"
    path.write_text(PROGRAM.format(python=sys.executable, last=last))
    path.chmod(0o755)
    return LlamaBench(program=find_llama_bench(folder), spec=SPEC, threads=2)


@pytest.fixture
async def client() -> AsyncIterator[LocalClient]:
    engine = Engine(lambda _: FakeBackend(n_ctx=2048, n_slice=32, n_trunks=2))
    client = LocalClient(engine)
    engine.start()
    await client.ready()
    yield client
    await client.close()


def found(theirs: Spread | None = None) -> Basics:
    pace = Pace(tokens=8, ours=Spread.of([90.0, 100.0, 95.0]), engine=ONE, theirs=theirs)
    return Basics(
        about={
            "model": {"name": "tiny"},
            "settings": {"n_ctx": 4096, "threads": 2},
            "machine": {"load_average_before": [0.5], "load_average_after": [1.5]},
        },
        prefill=pace,
        decode=pace,
        decode_guessing=pace,
        cancel=Cancelled(ms=ONE, tiny_ms=ONE),
        indexing=Indexing(
            mb_per_s=Spread.of([2.0]),
            helped_mb_per_s=Spread.of([3.0]),
            n_bytes=1,
            tokens_mb_per_s=1.0,
            tokens_share=0.5,
            growth_bytes=1,
            growth_mb=1.0,
            key=NONE,
            key_lines=9,
        ),
        serving=Serving(
            initialize_from_start_ms=ONE,
            initialize_from_read_ms=ONE,
            request=NONE,
            did_change=NONE,
            menu=NONE,
            prefilled=((1, 9), (8, 9)),
            rss_mb=1.0,
            files=1,
            repo_bytes=1,
        ),
    )


# -- llama-bench ---------------------------------------------------------------------------------------------------


def test_llama_bench_runs_with_the_engine_s_settings(tmp_path: Path) -> None:
    """Same model, batch, attention, cache and threads."""
    theirs = llama_bench(tmp_path)
    assert theirs.prefill(100) == theirs.prefill(100, 64) == theirs.decode(9, 100) == 50.0
    assert theirs.build() == "build 7 (abc)"
    same = "-ngl 999 -fa on -ctk q8_0 -ctv q8_0 -r"
    assert (tmp_path / "calls").read_text().splitlines()[:3] == [
        f"-m m.gguf -p 100 -n 0 -b 256 -ub 256 -t 2 {same} 1 -o json",
        f"-m m.gguf -p 100 -n 0 -b 256 -ub 64 -t 2 {same} 1 -o json",
        f"-m m.gguf -p 0 -n 9 -d 100 -b 256 -ub 256 -t 2 {same} 1 -o json",
    ]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("print('no model', file=sys.stderr); sys.exit(3)", "exit code 3: no model"),
        ("sys.exit(4)", "exit code 4: no reason given"),
        ("print('hello')", "printed no result: 'hello"),
        ("print([])", "printed no result"),
    ],
)
def test_llama_bench_that_fails_says_why(tmp_path: Path, last: str, why: str) -> None:
    """One sentence, no traceback."""
    with pytest.raises(LlamaBenchError, match=why):
        llama_bench(tmp_path, last).prefill(8)


def test_a_folder_without_llama_bench_is_named(tmp_path: Path) -> None:
    """Before anything is measured."""
    with pytest.raises(LlamaBenchError, match=str(tmp_path)):
        find_llama_bench(tmp_path)


# -- the engine ----------------------------------------------------------------------------------------------------


async def test_sides_take_turns(tmp_path: Path, client: LocalClient) -> None:
    """As many runs of each; theirs is asked for as many tokens as ours evaluated, and for slices like ours."""
    options = SpeedOptions(n_prompt=600, n_decode=20, runs=3, answers=2)
    said: list[str] = []
    speeds = await measure_speed(client, SOURCE, options, llama_bench(tmp_path), said.append)
    prefill, decode, guessing = speeds.prefill, speeds.decode, speeds.decode_guessing
    assert 600 <= prefill.tokens < 1000
    assert decode.tokens == guessing.tokens == 19
    assert (prefill.ours.runs, decode.ours.runs, guessing.ours.runs, len(said)) == (3, 6, 6, 3)
    assert prefill.theirs == prefill.theirs_sliced == Spread.of([50.0] * 3)
    assert decode.theirs == guessing.theirs == Spread.of([50.0] * 6)
    assert prefill.ratio == pytest.approx(prefill.ours.median / 50)
    assert decode.pairs
    assert decode.pairs.low <= decode.pairs.median <= decode.pairs.high
    calls = [call.split()[2:8] for call in (tmp_path / "calls").read_text().splitlines()]
    n = str(prefill.tokens)
    turn = [["-p", n, "-n", "0"], *2 * [["-p", "0", "-n", "19", "-d", n]], ["-p", n, "-n", "0"]]
    assert [call[: len(want)] for call, want in zip(calls, 3 * turn, strict=True)] == 3 * turn
    slices = [call.split()[call.split().index("-ub") + 1] for call in (tmp_path / "calls").read_text().splitlines()]
    assert slices[:4] == ["256", "256", "256", "32"]


async def test_nothing_is_reused_and_nothing_compared_without_the_other_side(client: LocalClient) -> None:
    """Every prefill evaluates all of its prompt."""
    speeds = await measure_speed(client, SOURCE, SpeedOptions(n_prompt=600, runs=2), None, str)
    prefill, decode = speeds.prefill, speeds.decode
    assert prefill.tokens >= 600
    assert (prefill.ratio, decode.ratio, prefill.theirs, prefill.pairs) == (None, None, None, None)


async def test_too_little_source_is_said(client: LocalClient) -> None:
    """Rather than measuring less than was asked."""
    with pytest.raises(SpeedError, match="10000 are wanted"):
        await measure_speed(client, SOURCE, SpeedOptions(n_prompt=10_000), None, str)


async def test_a_cancelled_prefill_makes_room(client: LocalClient) -> None:
    """The next request is answered, and the engine is idle afterwards."""
    cancelled = await measure_cancel(client, SOURCE, SpeedOptions(n_prompt=600, runs=1), str)
    assert (cancelled.ms.runs, cancelled.tiny_ms.runs) == (2, 2)
    assert (await client.status()).queued == 0
    assert await tokens_mb_per_s(client, SOURCE) > 0


# -- the server ----------------------------------------------------------------------------------------------------

SERVER = """
import json, sys
def read():
    length = int(sys.stdin.buffer.readline().split(b":")[1])
    sys.stdin.buffer.readline()
    return json.loads(sys.stdin.buffer.read(length))
def write(**message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
    sys.stdout.buffer.flush()
text, done, total, error = "", 0, int(sys.argv[1]), sys.argv[2]
while (message := read())["method"] != "exit":
    if message["method"] == "initialized":
        done = 1
    elif message["method"] == "textDocument/didChange":
        change = message["params"]["contentChanges"][0]
        at = change["range"]["start"]["character"]
        text = text[:at] + change["text"] + text[at:]
        open(sys.argv[3], "w").write(text)
    elif message["method"] == "gemma-lsp/status":
        if not done:
            write(id=message["id"], error={"code": -32002, "message": "not initialized"})
            continue
        done += 1
        work = {"done": done, "total": total, "secondsLeft": None} if done > 3 else None
        one = {"state": "warming", "files": 4, "error": "", "progress": work}
        write(id=message["id"], result={"engine": {"error": error}, "workspaces": [one]})
    elif "id" in message:
        write(id=message["id"], result={})
"""


def serve_options(tmp_path: Path, total: int, error: str = "") -> ServeOptions:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "__init__.py").write_text("")
    (tmp_path / "repo" / "a.py").write_text("x = 1\n")
    return ServeOptions(
        command=[sys.executable, "-c", SERVER, str(total), error, str(tmp_path / "typed")],
        env={},
        root=tmp_path / "repo",
        log=tmp_path / "log",
        options={},
        starts=2,
        samples=60,
    )


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basics_server, "_PAUSE_S", 0)
    monkeypatch.setattr(basics_server, "_POLL_S", 0)


@pytest.mark.usefixtures("fast")
async def test_a_server_is_measured_while_it_reads(tmp_path: Path) -> None:
    """As many requests as keys, all of them within the prefill; what is typed is a comment."""
    serving = await measure_serving(serve_options(tmp_path, 10_000), 7, str)
    assert (serving.request.n, serving.did_change.n, serving.menu.n) == (60, 60, 60)
    assert (serving.files, serving.repo_bytes) == (4, 7)
    (begin, total), (end, _) = serving.prefilled
    assert 0 < begin < end < total == 10_000
    assert serving.rss_mb > 0
    assert (serving.initialize_from_start_ms.runs, serving.initialize_from_read_ms.runs) == (2, 2)
    assert (tmp_path / "typed").read_text().startswith("# a remark")


@pytest.mark.usefixtures("fast")
async def test_a_prefill_that_ends_too_soon_is_not_reported(tmp_path: Path) -> None:
    """A percentile of a few requests would say nothing."""
    with pytest.raises(ServingError, match="ended too soon"):
        await measure_serving(serve_options(tmp_path, 30), 7, str)


@pytest.mark.usefixtures("fast")
async def test_a_server_without_its_engine_says_why(tmp_path: Path) -> None:
    """In the engine's own words."""
    with pytest.raises(ServingError, match="no such model"):
        await measure_serving(serve_options(tmp_path, 30, "no such model"), 7, str)


# -- source, report, command ---------------------------------------------------------------------------------------


def test_the_library_is_source_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole modules in their packages, again under another name where they are too few; no tests first, no bad text."""
    library = tmp_path / "library"
    for name, content in {
        "p/a.py": b"a = 1\n",
        "site-packages/b.py": b"b",
        "c.py": b"\xff",
        "test/d.py": b"d=2\n",
    }.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_bytes(content)
    monkeypatch.setattr(basics_source.sysconfig, "get_path", lambda name: str(library))
    assert copy_library(tmp_path / "copy", 15) == 16
    copied = sorted(p.relative_to(tmp_path / "copy").as_posix() for p in (tmp_path / "copy").rglob("*.py"))
    assert copied == ["again1/p/a.py", "p/a.py", "test/d.py"]
    monkeypatch.setattr(basics_source.sysconfig, "get_path", lambda name: str(tmp_path / "none"))
    with pytest.raises(NoSource):
        copy_library(tmp_path / "other", 1)


def test_the_json_has_ratios_or_says_how_to_get_them() -> None:
    """And every goal with whether it is met; nothing where nothing was measured."""
    report = found().to_json()
    assert report["ratios"] == {"prefill": None, "decode": None, "decode_guessing": None}
    assert report["ratios_note"] == AGAINST_HINT
    assert report["goals"][0]["met"] is None
    compared = found(Spread.of([100.0])).to_json()
    assert compared["ratios"] == {"prefill": 0.95, "decode": 0.95, "decode_guessing": 0.95}
    assert [goal["met"] for goal in compared["goals"]] == [True] * 6 + [False] + [True] * 4
    assert json.loads(json.dumps(compared)) == compared


def test_a_goal_is_met_up_to_its_limit() -> None:
    """From both sides."""
    assert Goal(name="", measured=2, limit=2).met is True
    assert Goal(name="", measured=2.1, limit=2).met is False
    assert Goal(name="", measured=1.9, limit=2, at_least=True).met is False


@pytest.mark.parametrize("theirs", [None, Spread.of([100.0])])
def test_the_table_shows_both_sides(theirs: Spread | None) -> None:
    """Ratios where there are two, else how to get them."""
    file = io.StringIO()
    print_basics(Console(file=file, width=160), found(theirs))
    text = file.getvalue()
    assert ("0.950" in text) == bool(theirs)
    assert ("--against" in text) != bool(theirs)
    assert "missed" in text


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """In one sentence."""
    write_json(found(), tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["ratios"]["decode"] is None
    with pytest.raises(ConfigError, match="choose another --json"):
        write_json(found(), tmp_path / "no" / "out.json")


def test_engines_of_the_bench_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs they listen in a folder of its own; afterwards the surroundings are as they were."""
    environment: dict[str, Any] = {"GEMMA_LSP_RUNTIME_DIR": "mine"}
    monkeypatch.setattr(basics.os, "environ", environment)
    with basics._own_engines(tmp_path):
        assert environment == {"GEMMA_LSP_RUNTIME_DIR": str(tmp_path)}
    assert environment == {"GEMMA_LSP_RUNTIME_DIR": "mine"}
    environment.clear()
    with basics._own_engines(tmp_path):
        assert environment
    assert not environment
