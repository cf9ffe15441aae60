// A bug found, fixed and dismissed by the default model itself: fixtures/sums has one that it can find.

import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Finding } from "./finding.mjs";
import { LIMIT_MS, ROOT, open } from "./workbench.mjs";

const FILE = "sums/operations.py";
const BUG = { file: FILE, line: 3, wrong: "return a + b", right: "return a - b" };

function prepare(repository) {
  rmSync(repository, { recursive: true });
  cpSync(path.join(ROOT, "fixtures", "sums"), repository, { recursive: true });
}

describe("the model's own findings", { timeout: 5 * LIMIT_MS }, () => {
  let bench;
  let finding;

  before(async () => {
    bench = await open({ prepare, settings: { "gemma-lsp.diagnostics.enabled": "on" } });
    finding = new Finding(bench, BUG);
    await bench.openFile(FILE);
    await bench.goTo(BUG.line);
  });

  after(() => bench?.close());

  test("a bug is fixed when asked: previewed, then applied", async () => {
    await bench.choose("Fix this bug");
    await finding.preview("model-fix-preview");
    await finding.undo();
  });

  test("a finding is shown, and dismissed for good", async () => {
    await finding.goTo();
    await bench.picture("model-finding");
    await finding.dismiss();
    assert.ok(finding.isWrong(bench.read(FILE)));
    await bench.command("gemma-lsp: Restart the Server");
    await bench.untilReady();
    await bench.goTo(BUG.line);
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=done]");
    assert.equal(await finding.squiggle().count(), 0);
    assert.deepEqual(await bench.notifications(), []);
  });
});
