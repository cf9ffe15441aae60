"""The commands as processes, with the real model where one is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gemma_lsp import __version__
from gemma_lsp.engine.connect import SocketClient
from gemma_lsp.engine.spec import EngineSpec
from tests.e2e.server import LIMIT_S, PARCELS, environment


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "gemma_lsp", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment(), timeout=LIMIT_S, check=False)


def framed(*messages: dict[str, object]) -> bytes:
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)


INITIALIZE: dict[str, object] = {
    "id": 1,
    "method": "initialize",
    "params": {"processId": None, "rootUri": None, "capabilities": {}},
}


def test_the_version_is_printed() -> None:
    """And nothing else."""
    assert run("--version").stdout.decode().strip() == f"gemma-lsp {__version__}"


def test_the_index_is_counted_by_the_model() -> None:
    """The true tokens of every file, within the budget."""
    done = run("index", str(PARCELS), "--budget", "2000", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["counted"] is True
    assert found["preamble"] > 0
    assert found["tokens"] + found["preamble"] <= found["budget"] == 2000
    assert sum(file["tokens"] for file in found["files"]) == found["tokens"]
    assert {file["path"] for file in found["files"]} >= {"README.md", "parcels/settings.py", "tests/test_settings.py"}
    assert {"full", "skeleton"} <= {file["form"] for file in found["files"]}


def test_a_question_is_answered(tmp_path: Path) -> None:
    """The words on stdout, the progress and the cost on stderr."""
    (tmp_path / "rates.py").write_text('def rate(kg: float) -> float:\n    """Euros."""\n    return 2.5 * kg\n')
    (tmp_path / "pyproject.toml").write_text("[tool.gemma-lsp.explain]\nmax_tokens = 24\n")
    done = run("ask", "What does rate return?", "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    said = done.stderr.decode()
    assert "2 files" in said
    assert "tokens resident" in said
    assert "tokens reused" in said
    assert "Traceback" not in said


def test_a_question_about_files_of_which_none_is_read_is_an_error(tmp_path: Path) -> None:
    """Python, but generated: the model would make something up."""
    (tmp_path / "a.py").write_text("# @generated\nx = 1\n")
    done = run("ask", "What?", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"there is nothing to read in" in done.stderr


def test_a_question_without_a_model_is_an_error(tmp_path: Path) -> None:
    """Said once, exit code 1, nothing on stdout."""
    (tmp_path / "a.py").write_text("x = 1\n")
    done = run("ask", "What?", "--dir", str(tmp_path), "--model", str(tmp_path / "none.gguf"))
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.count(b"none.gguf, which is not there") == 1
    assert b"Traceback" not in done.stderr


def test_the_doctor_finds_the_model() -> None:
    """Its exit code is 1 exactly if there is something to do."""
    done = run("doctor", "--json")
    found = json.loads(done.stdout)
    by_name = {check["name"]: check for check in found["checks"]}
    assert by_name["model"]["state"] == "ok"
    assert "tokens of context" in by_name["context"]["text"]
    assert len(found["memory"]) >= 2
    assert done.returncode == int(any(check["state"] == "action" for check in found["checks"]))


def test_the_models_command_marks_the_chosen_one() -> None:
    """The one that the environment names."""
    listed = json.loads(run("models", "--json").stdout)
    assert [model["path"] for model in listed if model["chosen"]] == [environment()["GEMMA_LSP_MODEL"]]


@pytest.mark.parametrize(
    ("farewell", "code"),
    [(({"id": 2, "method": "shutdown"}, {"method": "exit"}), 0), (({"method": "exit"},), 1), ((), 1)],
    ids=["shutdown", "exit alone", "gone"],
)
def test_the_server_ends_with_the_protocol_s_exit_code(farewell: tuple[dict[str, object], ...], code: int) -> None:
    """Nothing but messages on stdout, and no complaint of the interpreter on the way out."""
    done = run("serve", stdin=framed(INITIALIZE, *farewell))
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(b"Content-Length: ")
    assert done.stdout.count(b"Content-Length: ") == (2 if code == 0 else 1)
    assert b"Fatal Python error" not in done.stderr


def test_the_server_starts_without_llama_cpp_and_without_a_terminal() -> None:
    """`initialize` is answered at once because these are imported elsewhere, or later."""
    heavy = "{'llama_cpp', 'numpy', 'rich.console'}"
    code = f"import sys, gemma_lsp.cli.serve; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=LIMIT_S, check=True)
    assert done.stdout.decode().strip() == "[]"


async def test_a_second_engine_of_the_same_kind_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock decides; an engine never writes to stdout, which is a server's protocol elsewhere."""
    env = environment()
    for name in ("GEMMA_LSP_RUNTIME_DIR", "GEMMA_LSP_SNAPSHOT_DIR", "PYTHONPATH"):
        monkeypatch.setenv(name, env[name])
    spec = EngineSpec(model=env["GEMMA_LSP_MODEL"], n_ctx=1024, idle_exit_s=1.0, snapshot_mb=0)
    client = SocketClient(spec)
    await client.connect()
    try:
        assert (await client.ready()).n_ctx == 1024
        done = run("engine", "--spec", spec.to_json())
        assert (done.returncode, done.stdout) == (0, b"")
        assert b"already" in done.stderr
        assert (await client.status()).model is not None
    finally:
        await client.close()
