// Windows of other kinds: the first run, several folders, a folder that is not trusted.

import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { LIMIT_MS, REAL, open } from "./workbench.mjs";

const FILE = "parcels/parcel.py";
const INSTALL = /not installed here\. Run pip install "\.\[default-model\]" in a clone/;

async function inWindow(options, check) {
  const bench = await open(options);
  try {
    await check(bench);
  } finally {
    await bench.close();
  }
}

describe("windows", { timeout: 6 * LIMIT_MS }, () => {
  test("the walkthrough starts the server, and ticks what is done", () =>
    inWindow({}, async (bench) => {
      await bench.command("Welcome: Open Walkthrough...");
      await bench.choosePicked("Start with gemma-lsp");
      const steps = bench.page.locator(".gettingStartedContainer .getting-started-step");
      await bench.until(async () => (await steps.count()) === 3, "the three steps");
      await bench.untilReady();
      await bench.until(async () => (await steps.locator(".codicon.complete").count()) === 2, "server and model to be ticked");
      await bench.picture("walkthrough");
      assert.deepEqual(await bench.notifications(), []);
    }));

  test("two folders of one window are served by one server", () =>
    inWindow({ prepare: twoFolders, workspace: "two.code-workspace" }, async (bench) => {
      await bench.openFile("parcel.py");
      await bench.untilReady();
      await bench.page.locator(".part.statusbar .statusbar-item", { hasText: "gemma" }).first().click();
      for (const name of ["first", "second"]) {
        const row = bench.page.locator(".quick-input-list .monaco-list-row", { hasText: `${name}: ` });
        await row.waitFor({ timeout: LIMIT_MS });
      }
      await bench.picture("two-folders");
      const list = bench.page.locator(".quick-input-widget");
      await bench.until(async () => {
        await bench.keys("Escape");
        return !(await list.isVisible());
      }, "the list to close");
      await bench.openFile("parcel.py");
      await bench.beginFunction("area");
      await bench.untilGhost();
      assert.deepEqual(await bench.notifications(), []);
    }));

  test("nothing in a folder that is not trusted is run", () =>
    inWindow({ server: null, prepare: withServer, trusted: false }, async (bench) => {
      await bench.openFile(FILE);
      await bench.until(async () => (await bench.notifications()).length > 0, "a message");
      assert.match((await bench.notifications()).join(), INSTALL);
    }));

  function twoFolders(repository) {
    for (const name of ["first", "second"]) {
      mkdirSync(path.join(repository, name));
      cpSync(path.join(repository, "parcels"), path.join(repository, name, "parcels"), { recursive: true });
    }
    const folders = ["first", "second"].map((name) => ({ path: name }));
    writeFileSync(path.join(repository, "two.code-workspace"), JSON.stringify({ folders }));
  }

  function withServer(repository) {
    const executable = path.join(repository, ".venv", "bin", "gemma-lsp");
    mkdirSync(path.dirname(executable), { recursive: true });
    writeFileSync(executable, `#!/bin/sh\n${REAL}\n`);
    chmodSync(executable, 0o755);
  }
});
