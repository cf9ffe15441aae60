// Findings, fixes and thoughts, from the real server with scripted words: a small model cannot be relied on for them.

import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
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

  before(async () => {
    const settings = { "gemma-lsp.diagnostics.enabled": "on", "gemma-lsp.explain.thinking_tokens": 200 };
    bench = await open({ server: SCRIPTED, prepare, settings: { ...settings, "gemma-lsp.explain.max_tokens": 400 } });
    await bench.openFile(FILE);
    await bench.goTo(2);
  });

  after(() => bench?.close());

  test("a bug that nobody found is fixed when asked: previewed, then applied", async () => {
    await bench.choose("Fix this bug");
    await preview("fix-preview");
    assert.ok((await bench.saved(FILE)).includes(RIGHT));
    await bench.openFile(FILE);
    await bench.keys("Control+z");
    await bench.until(async () => (await bench.saved(FILE)).includes(WRONG), "the undone fix");
  });

  test("a finding is shown, and its fix is previewed and applied", async () => {
    await toFinding();
    await bench.keys("Control+Shift+m");
    await bench.page.locator(".markers-panel .monaco-list-row", { hasText: CLAIM }).first().waitFor();
    await bench.picture("finding");
    await bench.keys("Control+Shift+m");
    await bench.openFile(FILE);
    await toFinding();
    await bench.choose(`Fix: ${CLAIM}`);
    await preview("finding-preview");
    await bench.until(() => squiggle().count().then((n) => n === 0), "no squiggle");
    await bench.openFile(FILE);
    await bench.keys("Control+z");
    await bench.until(async () => (await bench.saved(FILE)).includes(WRONG), "the undone fix");
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
    await toFinding();
    await bench.until(async () => {
      await bench.choose("Do not show this finding again"); // again: a busy window loses a click
      return squiggle().first().waitFor({ state: "detached", timeout: 30_000 }).then(() => true, () => false);
    }, "no squiggle");
    await bench.command("gemma-lsp: Restart the Server");
    await bench.untilReady();
    await bench.goTo(2);
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=done]");
    assert.equal(await squiggle().count(), 0);
    assert.deepEqual(await bench.notifications(), []);
  });

  /** VS Code offers what belongs to a finding where the cursor touches it. */
  async function toFinding() {
    await bench.goTo(2);
    await bench.keys("Home");
    await squiggle().first().waitFor({ timeout: LIMIT_MS });
  }

  function squiggle() {
    return bench.page.locator(".editor-instance .squiggly-info, .editor-instance .squiggly-warning, .editor-instance .squiggly-hint");
  }

  /** VS Code's refactor preview: seen, and then applied. */
  async function preview(picture) {
    const apply = bench.page.getByRole("button", { name: "Apply", exact: true }).first();
    await apply.waitFor({ timeout: LIMIT_MS });
    assert.ok(bench.read(FILE).includes(WRONG), "nothing has changed yet");
    await bench.page.locator(".bulk-edit-panel .edit-checkbox").first().click();
    await bench.picture(picture);
    await apply.click();
    await bench.until(async () => (await bench.text()).includes(RIGHT), "the fix in the editor");
  }
});
