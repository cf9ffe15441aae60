// The extension at work with the default model: what a person does, and what is on the screen.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { LIMIT_MS, open } from "./workbench.mjs";

const FILE = "parcels/parcel.py";
const KEY_MS = 120; // between two keys: 100 words a minute
const CODE = [
  "def girth_in_inches(box: Dimensions) -> float:",
  "if box.girth_cm < 0:",
  'raise ValueError("a box has no negative girth")',
  "return box.girth_cm / 2.54",
];

describe("in one window", { timeout: 10 * LIMIT_MS }, () => {
  let bench;

  before(async () => {
    bench = await open();
    await bench.openFile(FILE);
  });

  after(() => bench?.close());

  afterEach(async () => {
    assert.deepEqual(await bench.notifications(), [], "nothing has asked for attention");
    await bench.revert(FILE);
  });

  test("the reading of the repository is seen", async () => {
    await bench.until(async () => /gemma: reading/.test(await bench.status()), "progress");
    await bench.picture("progress");
    await bench.untilReady();
  });

  test("ghost text is accepted whole", async () => {
    await bench.beginFunction("area");
    const ghost = await bench.untilGhost();
    await bench.picture("ghost-text");
    await bench.keys("Tab");
    await bench.until(async () => (await bench.ghost()) !== ghost, "the ghost text to be gone");
    assert.ok((await bench.saved(FILE)).includes(`    return box.${ghost}`));
  });

  test("ghost text is accepted word by word", async () => {
    await bench.beginFunction("depth", ""); // a whole line has several words, whatever the model says
    const ghost = await bench.untilGhost();
    await bench.keys("Control+ArrowRight");
    const rest = await bench.until(async () => {
      const now = await bench.ghost();
      return now !== ghost && now !== "" && ghost.endsWith(now) ? now : undefined;
    }, "the rest of the ghost text");
    await bench.keys("Escape");
    const accepted = ghost.slice(0, ghost.length - rest.length);
    assert.ok((await bench.saved(FILE)).trimEnd().endsWith(`    ${accepted}`.trimEnd()));
  });

  test("an explanation streams beside the editor, and its link opens the file", async () => {
    await bench.goTo(lineOf("def volume_cm3"));
    const menu = await bench.openMenu();
    assert.ok(menu.some((title) => title.includes("Explain this bug")), menu.join());
    await bench.picture("menu");
    await bench.page.locator(".action-widget .monaco-list-row", { hasText: "Explain this bug" }).click();
    const article = await bench.untilPanel("section[data-state=answering] article");
    const lengths = new Set();
    await bench.until(async () => {
      lengths.add((await article.textContent().catch(() => "")).length);
      return (await bench.panel()).locator("section[data-state=done]").count();
    }, "the end of the answer");
    assert.ok(lengths.size > 3, `it was seen to grow: ${[...lengths]}`);
    assert.equal(await bench.focus(), "editor");
    await bench.picture("explain");
    const link = await bench.untilPanel("article a", "parcel.py");
    const line = /#L(\d+)/.exec(await link.getAttribute("href"))[1];
    await link.click();
    const there = async () => (await bench.activeTab()) === "parcel.py" && (await bench.status()).includes(`Ln ${line},`);
    await bench.until(there, `line ${line} of parcel.py`);
  });

  test("an answer is stopped, and asked on", async () => {
    await bench.goTo(lineOf("def volume_cm3"));
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=answering] article p");
    await (await bench.panel()).locator("#stop").click();
    await bench.untilPanel("section[data-state=stopped]");
    const frame = await bench.panel();
    await frame.locator("input").fill("Where is the volume used?");
    await frame.locator("input").press("Enter");
    await bench.untilPanel("section + section[data-state=done]");
    assert.equal(await frame.locator("section").count(), 2);
    await bench.picture("follow-up");
  });

  test("typing at a person's speed loses nothing", async () => {
    await bench.keys("Control+End", "Enter");
    await bench.keys("Home");
    for (const line of CODE) {
      await bench.type(line, KEY_MS);
      await bench.keys("Escape", "Enter");
    }
    const typed = (await bench.saved(FILE)).trimEnd().split("\n").slice(-CODE.length);
    assert.deepEqual(typed.map((line) => line.trim()), CODE);
    assert.equal(await bench.focus(), "editor");
  });

  test("a suggestion that is typed along does not flicker", async () => {
    await bench.beginFunction("width");
    const ghost = (await bench.untilGhost()).split("\n")[0];
    const along = /^\w+/.exec(ghost)?.[0] ?? "";
    assert.ok(along.length > 3, `a word to type along in ${ghost}`);
    await bench.watchLine("return box.");
    await bench.type(along, KEY_MS);
    const frames = await bench.stopWatching();
    assert.ok(frames[0].startsWith(`return box.${along}`));
    assert.deepEqual(frames.filter((line) => !line.startsWith(frames[0])), []); // it may grow, and nothing else
  });

  test("completions are turned off and on", async () => {
    await bench.command("gemma-lsp: Turn Completions On or Off");
    await bench.until(async () => (await bench.status()).includes("completions off"), "the status");
    await bench.beginFunction("height");
    await bench.type("height_cm", KEY_MS);
    assert.equal(await bench.ghost(), "");
    await bench.command("gemma-lsp: Turn Completions On or Off");
    await bench.until(async () => !(await bench.status()).includes("completions off"), "the status");
    await bench.keys("Escape", "Escape", "End", "Enter");
    await bench.type("return box.");
    await bench.untilGhost();
  });

  test("a click on the status shows what it means", async () => {
    await bench.page.locator(".part.statusbar .statusbar-item", { hasText: "gemma" }).first().click();
    const rows = bench.page.locator(".quick-input-list .monaco-list-row");
    await rows.filter({ hasText: "tokens of context" }).waitFor();
    await rows.filter({ hasText: /\d files, .* tokens resident/ }).waitFor();
    await rows.filter({ hasText: "Last answer" }).waitFor();
    await bench.picture("status");
  });

  test("the models that fit are listed", async () => {
    await bench.command("gemma-lsp: Choose a Model...");
    await bench.page.locator(".quick-input-list .monaco-list-row", { hasText: "tokens of context fit" }).first().waitFor({ timeout: LIMIT_MS });
    await bench.picture("models");
  });

  test("a killed server comes back, and the answer says that it was cut short", async () => {
    await bench.goTo(lineOf("def volume_cm3"));
    await bench.choose("Explain this bug");
    await bench.untilPanel("section[data-state=answering] article p");
    const before = bench.serverPids();
    process.kill(before.at(-1), "SIGKILL");
    await bench.untilPanel("section[data-state=failed] article", "The server ended before the answer did.");
    await bench.until(() => bench.serverPids().length === before.length + 1, "a new server");
    await bench.untilReady();
    await bench.beginFunction("breadth");
    await bench.untilGhost();
  });

  test("restart starts another server", async () => {
    const before = bench.serverPids();
    await bench.command("gemma-lsp: Restart the Server");
    await bench.until(() => bench.serverPids().length === before.length + 1, "a new server");
    await bench.untilReady();
  });

  function lineOf(text) {
    return bench.read(FILE).split("\n").findIndex((line) => line.includes(text)) + 1;
  }
});
