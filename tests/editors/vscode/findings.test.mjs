// Findings, fixes and thoughts, from the real server with scripted words: a small model cannot be relied on for them.

import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Finding } from "./finding.mjs";
import { LIMIT_MS, SCRIPTED, open } from "./workbench.mjs";

const FILE = "shop/rates.py";
const CLAIM = "the surcharge is missing"; // as tests/editors/scripted_server.py has them
const WRONG = "return weight * 3";
const RIGHT = "return weight * 4";

const SHOP = {
  "pyproject.toml": "[project]\nname = 'shop'\n",
  [FILE]: `def rate(weight):\n    ${WRONG}\n`,
  "shop/cart.py": "from shop.rates import rate\n\n\ndef total(items):\n    return sum(rate(i) for i in items)\n",
};

function prepare(repository) {
  rmSync(repository, { recursive: true });
  mkdirSync(path.join(repository, "shop"), { recursive: true });
  for (const [name, text] of Object.entries(SHOP)) {
    writeFileSync(path.join(repository, name), text);
  }
}

describe("findings", { timeout: 5 * LIMIT_MS }, () => {
  let bench;
  let finding;

  before(async () => {
    const settings = { "gemma-lsp.diagnostics.enabled": "on", "gemma-lsp.explain.thinking_tokens": 200 };
    bench = await open({ server: SCRIPTED, prepare, settings: { ...settings, "gemma-lsp.explain.max_tokens": 400 } });
    finding = new Finding(bench, { file: FILE, line: 2, wrong: WRONG, right: RIGHT });
    await bench.openFile(FILE);
    await bench.goTo(2);
  });

  after(() => bench?.close());

  test("a bug that nobody found is fixed when asked: previewed, then applied", async () => {
    await bench.choose("Fix this bug");
    await finding.preview("fix-preview");
    await finding.undo();
  });

  test("a finding is shown, and its fix is previewed and applied", async () => {
    await finding.goTo();
    await bench.keys("Control+Shift+m");
    await bench.page.locator(".markers-panel .monaco-list-row", { hasText: CLAIM }).first().waitFor();
    await bench.picture("finding");
    await bench.keys("Control+Shift+m");
    await bench.openFile(FILE);
    await finding.goTo();
    await bench.choose(`Fix: ${CLAIM}`);
    await finding.preview("finding-preview");
    await finding.untilGone();
    await finding.undo();
  });

  test("thoughts are folded", async () => {
    await bench.goTo(2);
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=done] article", "It forgets the surcharge");
    const frame = await bench.panel();
    const thoughts = frame.locator("details pre");
    assert.equal(await thoughts.isVisible(), false);
    await bench.picture("thinking");
    await frame.locator("summary").click();
    assert.match(await thoughts.textContent(), /Three or four\?/);
    assert.equal(await thoughts.isVisible(), true);
    await bench.keys("Control+1"); // back to the editor
  });

  test("a finding is dismissed for good", async () => {
    await bench.openFile(FILE);
    await finding.dismiss();
    await bench.command("gemma-lsp: Restart the Server");
    await bench.untilReady();
    await bench.goTo(2);
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=done]");
    assert.equal(await finding.squiggle().count(), 0);
    assert.deepEqual(await bench.notifications(), []);
  });
});
