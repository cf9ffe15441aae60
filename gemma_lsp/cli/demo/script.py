"""The demo's steps, in order: what an editor does in a few minutes of work, and what each answer cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.editor_client import EditorClient, ServerError
from gemma_lsp.cli.demo.sample import EDIT, SPOT, find, planted_bug
from gemma_lsp.cli.demo.screen import Screen

Json = Any
WARM_LIMIT_S = 3600.0  # a large model on a slow machine; the bar shows how long it will take
ANSWER_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much the demo asks for. A token of the body takes 4 ms and one of an answer 30 ms on two cores."""

    budget_tokens: int = 4096
    n_ctx: int = 8192
    explain_tokens: int = 160
    reviews: bool = True

    def options(self) -> Json:
        """The initializationOptions. A slow machine gets its time."""
        return {
            "index": {"budget_tokens": self.budget_tokens},
            "model": {"n_ctx": self.n_ctx},
            "completion": {"deadline_ms": 120_000},
            "explain": {"max_tokens": self.explain_tokens},
            "diagnostics": {"enabled": "on"},
        }


_REPOSITORY = "the repository"
FAST = Pace(explain_tokens=32, reviews=False)


_LEGEND = (
    "reused: already in the cache; masked: stale text that the model no longer sees.",
    "exact: as if computed from nothing; near: what follows the stale text was computed while it could be seen.",
)


class Demo:
    """One run. `listen` must be the client's `on_notification`; `failed` names the steps that failed."""

    def __init__(self, screen: Screen, root: Path, pace: Pace) -> None:
        self._screen, self._root, self._pace = screen, root, pace
        self._costs: list[tuple[str, Json]] = []
        self._answer = ""  # what the present step's answer is called in the table
        self._warm = asyncio.Event()
        self._is_chat = False
        self.failed: list[str] = []

    def listen(self, method: str, params: Json) -> None:
        """What the server says unasked."""
        if method == "$/progress" and not self._warm.is_set():
            self._screen.progress(str(params["token"]), params["value"])
        elif method == "gemma-lsp/cost":
            is_warm = params["kind"] == "warm"
            self._costs.append((_REPOSITORY if is_warm else self._answer, params["cost"]))
            if is_warm:
                self._warm.set()
        elif method == "gemma-lsp/explain" and "delta" in params:
            self._screen.stream(params["delta"])
        elif method == "window/showMessage":
            self._screen.line(params["message"], "yellow")

    async def run(self, client: EditorClient) -> None:
        """Every step; a step that fails does not keep the next ones from running, but for the first two."""
        if not await self._step("The editor starts the server", lambda: self._start(client)):
            return
        if not await self._step("The repository becomes resident", lambda: self._become_resident(client)):
            return
        await self._step("A completion, and again after an edit in another file", lambda: self._complete_twice(client))
        await self._step('"Explain this bug" on a selection', lambda: self._explain(client))
        if self._pace.reviews:
            await self._step("Diagnostics", lambda: self._diagnose(client))

    async def run_again(self, client: EditorClient) -> None:
        """The editor is started again: what was read comes from the disk."""
        self._warm = asyncio.Event()
        cold = next((cost["totalMs"] for name, cost in self._costs if name == _REPOSITORY), 0)
        await self._step("The editor is closed and started again", lambda: self._return(client, cold))
        self._cost_table()

    async def _return(self, client: EditorClient, cold_ms: float) -> None:
        await self._start(client)
        await self._become_resident(client)
        cost = self._costs[-1][1]
        self._costs[-1] = (f"{_REPOSITORY}, again", cost)
        self._screen.line(
            f"{cost['restored']:,} tokens came from the disk and {cost['evaluated']:,} were read: "
            f"{cost['totalMs'] / 1000:,.2f} s instead of {cold_ms / 1000:,.1f} s (the model's loading not counted)"
        )
        if not cost["restored"]:
            raise ServerError("nothing came from the disk; is it full?")

    async def _step(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        self._screen.heading(name)
        try:
            await work()
        except (GemmaLspError, TimeoutError) as error:
            self._screen.close()
            self._screen.line(f"✗ {name}: {error or 'it took too long'}", "bold red")
            self.failed.append(name)
            return False
        return True

    # -- the steps -------------------------------------------------------------------------------------------------

    async def _start(self, client: EditorClient) -> None:
        started = perf_counter()
        answer = await asyncio.wait_for(client.initialize(self._root, self._pace.options()), 60)
        ms = (perf_counter() - started) * 1000
        name, version = answer["serverInfo"]["name"], answer["serverInfo"]["version"]
        self._screen.line(f"{name} {version} answered initialize after {ms:,.0f} ms; the model loads behind it")

    async def _become_resident(self, client: EditorClient) -> None:
        """Waits for the cost of the first warming, or for the state that says why there will be none."""
        async with asyncio.timeout(WARM_LIMIT_S):
            while not self._warm.is_set():
                status = await client.request("gemma-lsp/status", None)
                problems = [status["engine"]["error"], *(ws["error"] for ws in status["workspaces"])]
                if any(problems):
                    raise ServerError(next(problem for problem in problems if problem))
                try:
                    await asyncio.wait_for(self._warm.wait(), 0.5)
                except TimeoutError:
                    continue
        status = await client.request("gemma-lsp/status", None)
        model, folder = status["model"], status["workspaces"][0]
        self._is_chat = model["chat"]
        kind = "chat" if self._is_chat else "base"
        self._screen.line(f"{model['name']} ({kind} model), {model['contextTokens']:,} tokens of context")
        self._screen.line(f"{folder['files']} files stand in the prompt at {folder['bodyTokens']:,} tokens")

    async def _complete_twice(self, client: EditorClient) -> None:
        spot, other = self._root / SPOT.path, self._root / EDIT.path
        settings = other.read_text("utf-8")
        client.open(spot, "")
        client.edit(spot, _at(0, 0), _at(0, 0), SPOT.typed)
        before = await self._complete(client, "completion")
        self._screen.line(f"{SPOT.path}, at the cursor: {before!r}")
        client.open(other, settings)
        start, end = find(settings, EDIT.old)
        client.edit(other, start, end, EDIT.new)
        self._screen.line(f"{EDIT.path}: {EDIT.old} is renamed to {EDIT.new}")
        after = await self._complete(client, "after the edit")
        code = SPOT.typed.rpartition("\n\n\n")[2]
        self._screen.side_by_side(("before the edit", code + before), ("after the edit", code + after))
        if not EDIT.new.endswith(after.partition("\n")[0].strip()):
            self._screen.line("this model did not follow the edit; larger ones do", "yellow")

    async def _complete(self, client: EditorClient, name: str) -> str:
        self._answer = name
        params = {
            "textDocument": {"uri": (self._root / SPOT.path).as_uri()},
            "position": SPOT.position,
            "context": {"triggerKind": 2},  # automatic, as while typing
        }
        found = await asyncio.wait_for(client.request("textDocument/inlineCompletion", params), ANSWER_LIMIT_S)
        items = (found or {}).get("items", [])
        if not items:
            raise ServerError("the server offered no completion")
        return str(items[0]["insertText"])

    async def _explain(self, client: EditorClient) -> None:
        bug = planted_bug()
        path = self._root / bug.path
        text = path.read_text("utf-8")
        client.open(path, text)
        start, end = find(text, bug.line_text)
        self._screen.line(f"{bug.path}:{start['line'] + 1}: {bug.line_text}")
        self._screen.line(f"the planted bug: {bug.what}", "dim")
        self._answer = "explain"
        document = {"uri": path.as_uri()}
        asked = {"textDocument": document, "range": {"start": start, "end": end}, "context": {"diagnostics": []}}
        actions = await client.request("textDocument/codeAction", asked) or []
        action = next((action for action in actions if action["title"] == "Explain this bug"), None)
        if action is None:
            raise ServerError('the server offers no "Explain this bug" here')
        command = {"command": action["command"]["command"], "arguments": action["command"]["arguments"]}
        answer = await asyncio.wait_for(client.request("workspace/executeCommand", command), ANSWER_LIMIT_S)
        self._screen.line("")
        if answer is None:
            raise ServerError("the server did not explain")
        for citation in answer["citations"]:
            self._screen.line(f"cites {citation['path']}:{citation['line']}", "dim")

    async def _diagnose(self, client: EditorClient) -> None:
        path = self._root / planted_bug().path
        self._answer = "diagnostics"
        if not self._is_chat:
            self._screen.line("off by default for a base model; the demo switches them on", "dim")
        asked = {"textDocument": {"uri": path.as_uri()}}
        report = await asyncio.wait_for(client.request("textDocument/diagnostic", asked), ANSWER_LIMIT_S)
        for found in report["items"]:
            line = found["range"]["start"]["line"] + 1
            self._screen.line(f"{planted_bug().path}:{line}: {found['message']}")
        self._screen.line(f"{len(report['items'])} finding(s), each on a line that stands in the file", "dim")

    def _cost_table(self) -> None:
        self._screen.heading("What each answer cost, in tokens")
        headings = ("answer", "reused", "evaluated", "masked", "generated", "cache", "first token", "in all")
        self._screen.table(headings, [_cost_row(name, cost) for name, cost in self._costs])
        for line in _LEGEND:
            self._screen.line(line, "dim")


def _cost_row(name: str, cost: Json) -> tuple[object, ...]:
    first = f"{cost['firstTokenMs']:,.0f} ms" if cost["generated"] else ""
    state = "exact" if cost["exact"] else "near"
    counts = (cost["reused"], cost["evaluated"], cost["hidden"], cost["generated"])
    return (name, *counts, state, first, f"{cost['totalMs'] / 1000:,.1f} s")


def _at(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}
