// What a person meets who has no server, a wrong model or an odd file: one clear message, or silence.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { LIMIT_MS, REAL, open, until } from "./workbench.mjs";

const FILE = "parcels/parcel.py";
const BIG = 20_000; // lines
const NO_MODEL = "/no/such/model.gguf";

async function inWindow(options, check) {
  const bench = await open(options);
  try {
    await check(bench);
  } finally {
    await bench.close();
  }
}

describe("no good server", { timeout: 6 * LIMIT_MS }, () => {
  test("without one, one message says what to install; a .venv in the folder is found", () =>
    inWindow({ server: null }, async (bench) => {
      await bench.openFile(FILE);
      await bench.until(async () => (await bench.notifications()).length > 0, "a message");
      await bench.picture("no-server");
      await bench.openFile("parcels/units.py");
      await bench.type("x = 1");
      const messages = await bench.notifications();
      assert.equal(messages.length, 1);
      assert.match(messages[0], /not installed here\. Run pip install "\.\[default-model\]" in a clone/);
      await bench.page.locator(".part.statusbar .statusbar-item", { hasText: "gemma" }).first().click();
      await bench.page.locator(".quick-input-list .monaco-list-row", { hasText: "not installed here" }).waitFor();
      await bench.keys("Escape");
      const executable = path.join(bench.repository, ".venv", "bin", "gemma-lsp");
      mkdirSync(path.dirname(executable), { recursive: true });
      writeFileSync(executable, `#!/bin/sh\n${REAL}\n`);
      chmodSync(executable, 0o755);
      await bench.command("gemma-lsp: Restart the Server");
      await bench.untilReady();
    }));

  test("a wrong path is named", () =>
    inWindow({ settings: { "gemma-lsp.server.path": "/no/such/gemma-lsp" } }, async (bench) => {
      await bench.openFile(FILE);
      await bench.until(async () => (await bench.notifications()).length > 0, "a message");
      const messages = await bench.notifications();
      assert.equal(messages.length, 1);
      assert.match(messages[0], /gemma-lsp\.server\.path names no executable file: \/no\/such\/gemma-lsp/);
    }));

  test("what dies at once is said once, and not started again and again", () =>
    inWindow({ server: "exit 3" }, async (bench) => {
      await bench.openFile(FILE);
      await bench.until(async () => (await bench.notifications()).length > 0, "a message");
      await until(async () => /gemma/.test(await bench.status()));
      await bench.openFile("parcels/units.py");
      await bench.type("x = 1  # typed while nothing runs", 60); // longer than a restart would wait
      const messages = await bench.notifications();
      assert.equal(messages.length, 1);
      assert.match(messages[0], /does not start as a language server/);
      assert.equal(bench.serverPids().length, 1);
    }));

  test("a wrong model is said once, and typing goes on", () =>
    inWindow({ settings: { "gemma-lsp.model.path": NO_MODEL } }, async (bench) => {
      await bench.openFile(FILE);
      await bench.until(async () => (await bench.notifications()).some((one) => one.includes(NO_MODEL)), "a message");
      await bench.picture("no-model");
      await bench.beginFunction();
      await bench.type("width_cm", 60);
      assert.ok((await bench.saved(FILE)).includes("return box.width_cm"));
      assert.equal(await bench.ghost(), "");
      assert.equal((await bench.notifications()).length, 1);
      assert.doesNotMatch((await bench.notifications()).join(), /Traceback/);
    }));
});

describe("odd files", { timeout: 6 * LIMIT_MS }, () => {
  let bench;

  before(async () => {
    const settings = { "files.readonlyInclude": { "**/zones.py": true } };
    bench = await open({ settings, prepare });
    await bench.openFile(FILE);
    await bench.untilReady();
  });

  after(() => bench?.close());

  afterEach(async () => {
    assert.deepEqual(await bench.notifications(), []);
    await bench.keys("Escape", "Escape");
  });

  test("a file of 20,000 lines takes every key", async () => {
    await bench.openFile("big.py");
    await bench.goTo(BIG / 2);
    await bench.keys("End", "Enter");
    await bench.type("TOTAL = NUMBER_1 + NUMBER_2", 60);
    await bench.keys("Escape");
    const lines = (await bench.saved("big.py")).split("\n");
    assert.equal(lines[BIG / 2], "TOTAL = NUMBER_1 + NUMBER_2");
    assert.equal(lines.length, BIG + 2);
  });

  test("a read-only file is explained and stays as it is", async () => {
    const before = bench.read("parcels/zones.py");
    await bench.openFile("parcels/zones.py");
    await bench.command("gemma-lsp: Explain the Selection or Function");
    await bench.untilPanel("section[data-state=done]");
    assert.equal(bench.read("parcels/zones.py"), before);
  });

  test("an untitled buffer is served, or left alone", async () => {
    await bench.command("File: New Untitled Text File");
    await bench.until(async () => (await bench.activeTab())?.startsWith("Untitled"), "an untitled file");
    await bench.command("Change Language Mode");
    await bench.choosePicked("Python");
    await bench.until(async () => (await bench.status()).includes("Python"), "the language");
    await bench.type("def area(width: int, height: int) -> int:\nreturn width", 60);
    await bench.until(async () => (await bench.text()).includes("return width"), "the typed text");
  });

  test("a notebook is left alone", async () => {
    await bench.pick("notes.ipynb");
    const cell = bench.page.locator(".notebook-editor .cell .view-line, .notebookOverlay .view-line").first();
    await cell.waitFor({ timeout: LIMIT_MS });
    await cell.click();
    await bench.keys("End");
    await bench.type(" + 1", 60);
    await bench.until(async () => (await cell.textContent()).replaceAll("\u00a0", " ").includes("x = 1 + 1"), "the typed cell");
  });

  test("what pyproject.toml says is not hidden by defaults of VS Code", async () => {
    writeFileSync(path.join(bench.repository, "pyproject.toml"), "[tool.gemma-lsp.completion]\nenabled = false\n");
    await bench.command("gemma-lsp: Restart the Server");
    await bench.untilReady();
    await bench.openFile(FILE);
    await bench.beginFunction();
    await bench.type("width_cm", 120);
    assert.equal(await bench.ghost(), "");
  });

  function prepare(repository) {
    const numbers = Array.from({ length: BIG }, (_, n) => `NUMBER_${n} = ${n}\n`);
    writeFileSync(path.join(repository, "big.py"), numbers.join(""));
    const cell = { cell_type: "code", execution_count: null, metadata: {}, outputs: [], source: ["x = 1"] };
    const notebook = { cells: [cell], metadata: { language_info: { name: "python" } }, nbformat: 4, nbformat_minor: 5 };
    writeFileSync(path.join(repository, "notes.ipynb"), JSON.stringify(notebook));
  }
});
