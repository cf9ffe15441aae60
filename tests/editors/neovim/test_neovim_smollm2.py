"""What only another model shows in Neovim: thoughts, and a cache whose cells can be moved (SmolLM2-135M)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_folding import MODULES, insertion, module
from tests.editors.install import NEOVIMS
from tests.editors.neovim.editor import Editor, copy_of_parcels, editor
from tests.support.models import plain_model, thinking_model
from tests.support.sessions import write_files

KEEP_COSTS = """
    local known = vim.lsp.handlers['gemma-lsp/cost']
    Costs = {}
    vim.lsp.handlers['gemma-lsp/cost'] = function(err, message, ctx)
      table.insert(Costs, message)
      return known(err, message, ctx)
    end"""
MARKS = ("<think>", "</think>", "<|im_start|>", "<|im_end|>")


@pytest.mark.parametrize("version", sorted(NEOVIMS))
def test_a_model_thinks_in_a_closed_fold_and_answers_below(version: str, tmp_path: Path) -> None:
    """The thoughts are the model's own; they end where their budget does."""
    parcels = copy_of_parcels(tmp_path)
    env = {"GEMMA_LSP_MODEL": str(thinking_model(tmp_path))}
    options = {"explain": {"max_tokens": 32, "thinking_tokens": 64}}
    with editor(version, parcels, parcels / "parcels" / "parcel.py", options=options, env=env) as nvim:
        nvim.until_ready()
        nvim.keys("gg/def volume_cm3<CR>")
        nvim.until(lambda: "def volume_cm3" in nvim.line())
        nvim.command("GemmaLsp explain")
        nvim.until(lambda: "thinking" in nvim.lua("return vim.wo.winbar"))
        nvim.until_seen("lines: Thinking")
        nvim.until(lambda: "done" in nvim.lua("return vim.wo.winbar"))
        first, last = nvim.lua("""
            local first = vim.fn.search('^Thinking$', 'nw')
            return { vim.fn.foldclosed(first), vim.fn.foldclosedend(first) }""")
        assert 0 < first < last
        lines = nvim.lines()
        thoughts, answer = "\n".join(lines[first:last]), "\n".join(lines[last:])
        assert thoughts.strip()
        assert answer.partition("parcel.py#L")[2].strip()
        assert not [mark for mark in MARKS if mark in "\n".join(lines)]
        nvim.picture("thoughts-of-a-model")


def test_what_was_edited_in_three_files_goes_back_into_the_body(tmp_path: Path) -> None:
    """While nobody works, by moving cells: then nothing is told any more, and little was read."""
    files = {f"birds/{name}.py": module(name) for name in MODULES}
    shop = write_files(tmp_path / "shop", {**files, "pyproject.toml": '[project]\nname = "shop"\n'})
    env = {"GEMMA_LSP_MODEL": str(plain_model())}
    options = {"index": {"budget_tokens": 3000}}
    with editor("0.12", shop, shop / "birds" / f"{MODULES[0]}.py", options=options, env=env) as nvim:
        nvim.lua(KEEP_COSTS)
        nvim.until_ready()
        for name in MODULES[:3]:
            nvim.command(f"edit {shop}/birds/{name}.py")
            nvim.lua("vim.api.nvim_buf_set_lines(0, 0, 0, true, ...)", insertion(name).splitlines())
        nvim.command(f"edit {shop}/birds/{MODULES[3]}.py")
        ask(nvim, 3)
        folds = nvim.until(lambda: [cost for cost in costs(nvim, "warm") if not cost["exact"]])
        assert all(cost["reused"] + cost["evaluated"] == cost["prompt"] for cost in folds)
        assert sum(cost["evaluated"] for cost in folds) < folds[-1]["prompt"] / 2

        after = ask(nvim, 8)
        assert "errata" not in after["evaluatedByRegion"]
        assert "body" not in after["evaluatedByRegion"]
        assert not after["exact"]


def ask(nvim: Editor, line: int) -> dict[str, Any]:
    """What the completion costs that Neovim asks for behind `return ` in a line, counted from 1."""
    known = len(costs(nvim, "inlineCompletion"))
    nvim.keys(f"<Esc>{line}G^wC")
    nvim.until(lambda: len(costs(nvim, "inlineCompletion")) > known)
    return costs(nvim, "inlineCompletion")[-1]


def costs(nvim: Editor, kind: str) -> list[dict[str, Any]]:
    return [told["cost"] for told in nvim.lua("return Costs") if told["kind"] == kind]
