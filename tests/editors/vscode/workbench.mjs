// A VS Code as a person has it: the workbench of code-server in Chromium, our extension from its .vsix, the real server
// with the real default model, and a copy of the sample repository. One call of `open` makes all of it anew.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const PICTURES = path.join(ROOT, "build", "editors", "vscode");
const { PYTHON, VSCODE } = process.env;
const VSIX = path.join(ROOT, "editors", "vscode", "dist", "gemma-lsp.vsix");
const CODE_SERVER = path.join(VSCODE, "code-server", "node_modules", ".bin", "code-server");
const { chromium } = createRequire(path.join(VSCODE, "playwright", "package.json"))("playwright-core");

export const LIMIT_MS = 120_000; // for what takes seconds: the machine may be busy
const POLL_MS = 50;

const SWITCHES = [
  "--auth",
  "none",
  "--disable-telemetry",
  "--disable-update-check",
  "--disable-workspace-trust",
  "--disable-getting-started-override",
];

const CHROMIUM = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const QUIET = {
  "chat.disableAIFeatures": true,
  "editor.minimap.enabled": false,
  "extensions.ignoreRecommendations": true,
  "files.autoSave": "off",
  "git.enabled": false,
  "remote.autoForwardPorts": false,
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "window.menuBarVisibility": "hidden",
  "workbench.editor.closeEmptyGroups": false,
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.layoutControl.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};

const RESTRICTED = {
  "security.workspace.trust.enabled": true,
  "security.workspace.trust.startupPrompt": "never",
  "security.workspace.trust.banner": "never",
};

/** Small, because the default model reads 250 tokens a second on two cores; no answer is cut short by a clock. */
export const SERVER_SETTINGS = {
  "gemma-lsp.model.n_ctx": 8192,
  "gemma-lsp.index.budget_tokens": 1200,
  "gemma-lsp.completion.deadline_ms": 120_000,
  "gemma-lsp.completion.max_tokens": 24,
  "gemma-lsp.explain.max_tokens": 80,
  "gemma-lsp.explain.thinking_tokens": 0,
  "gemma-lsp.diagnostics.enabled": "off",
  "gemma-lsp.engine.nice": 0, // the browser must not starve it
};

/** The server as it is, and the real one with an engine whose words are written in tests/editors/scripted_server.py. */
export const REAL = `exec '${PYTHON}' -P -m gemma_lsp "$@"`;
export const SCRIPTED = `[ "$1" = serve ] && exec '${PYTHON}' -P -m tests.editors.scripted_server`;

/** Waits for something true, and returns it. */
export async function until(what, say = () => "this did not come", limit = LIMIT_MS) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await what();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(await say());
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** Starts everything. `server` is the script that stands for `gemma-lsp`, or null for none.
 *  `prepare` may change the repository before; `workspace` is a workspace file in it to open instead of the folder;
 *  a folder that is not `trusted` is opened in Restricted Mode. */
export async function open({ settings = {}, server = REAL, environment = {}, prepare = () => {}, workspace, trusted = true } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), "gv-")); // short: a socket's path may have 107 bytes
  const repository = path.join(folder, "parcels");
  cpSync(path.join(ROOT, "fixtures", "parcels"), repository, { recursive: true });
  prepare(repository);
  const pidFile = path.join(folder, "server.pid");
  const executable = path.join(folder, "bin", "gemma-lsp");
  mkdirSync(path.dirname(executable));
  if (server !== null) {
    writeFileSync(executable, `#!/bin/sh\n[ "$1" = serve ] && echo $$ >> '${pidFile}'\n${server}\n`);
    chmodSync(executable, 0o755);
  }
  const data = path.join(folder, "data");
  const own = { "gemma-lsp.server.path": server === null ? "" : executable };
  writeSettings(path.join(data, "User"), { ...QUIET, ...(trusted ? {} : RESTRICTED) });
  writeSettings(path.join(data, "Machine"), { ...SERVER_SETTINGS, ...own, ...settings }); // code-server is a remote machine
  const closing = [() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) {
      await each();
    }
  };
  try {
    const url = await startCodeServer(folder, repository, data, environment, trusted, closing);
    const opened = workspace ? `workspace=${path.join(repository, workspace)}` : `folder=${repository}`;
    const page = await openPage(`${url}/?${opened}`, closing);
    return new Workbench({ page, folder, repository, pidFile, close });
  } catch (error) {
    await close();
    throw error;
  }
}

function writeSettings(folder, settings) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "settings.json"), JSON.stringify(settings, undefined, 1));
}

async function openPage(url, closing) {
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM });
  closing.push(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(rememberMessages);
  await page.goto(url);
  await page.locator(".explorer-folders-view .monaco-list-row").first().waitFor({ timeout: LIMIT_MS });
  return page;
}

/** Runs in the page: keeps each message that was ever shown, because they go away by themselves. */
function rememberMessages() {
  window.said_ = new Set();
  const look = () => document.querySelectorAll(".notification-list-item-message").forEach((one) => one.textContent && window.said_.add(one.textContent));
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
}

async function startCodeServer(folder, repository, data, environment, trusted, closing) {
  const extensions = path.join(folder, "extensions");
  const ours = {
    EXTENSIONS_GALLERY: '{"serviceUrl":""}', // no calls to a gallery
    GEMMA_LSP_ENGINE_IDLE_S: "5",
    GEMMA_LSP_MODEL: model(),
    GEMMA_LSP_RUNTIME_DIR: path.join(folder, "run"),
    GEMMA_LSP_SNAPSHOT_DIR: path.join(folder, "snapshots"),
    PYTHONPATH: ROOT, // for the scripted server
    VSCODE_CLI: "1", // the environment stays as it is here: no login shell adds to PATH
    XDG_CONFIG_HOME: path.join(folder, "config"),
    XDG_STATE_HOME: path.join(folder, "state"),
    PATH: process.env.PATH.split(path.delimiter).filter((each) => !existsSync(path.join(each, "gemma-lsp"))).join(path.delimiter),
  };
  const env = { ...process.env, ...ours, ...environment };
  const places = ["--user-data-dir", data, "--extensions-dir", extensions];
  execFileSync(CODE_SERVER, [...places, "--install-extension", VSIX], { env, stdio: "pipe" });
  const port = await freePort();
  const address = ["--bind-addr", `127.0.0.1:${port}`];
  const switches = SWITCHES.filter((each) => trusted || each !== "--disable-workspace-trust");
  const child = spawn(CODE_SERVER, [...address, ...switches, ...places, repository], { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((done) => child.once("exit", done));
  closing.push(() => (child.kill(), ended));
  let said = "";
  child.stdout.on("data", (text) => (said += text));
  child.stderr.on("data", (text) => (said += text));
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/healthz`).then((answer) => answer.ok, () => false), () => `code-server did not start:\n${said}`);
  return url;
}

/** The default model, unless `GEMMA_LSP_MODEL` names another. */
function model() {
  const find = "from gemma_lsp.models.default_model import default_model; print(default_model())";
  process.env.GEMMA_LSP_MODEL ||= execFileSync(PYTHON, ["-P", "-c", find], { cwd: ROOT, encoding: "utf8" }).trim();
  return process.env.GEMMA_LSP_MODEL;
}

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function chromiumPath() {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = process.env.PATH.split(path.delimiter);
  return names.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(existsSync);
}

/** What the tests do and see. */
export class Workbench {
  constructor(parts) {
    Object.assign(this, parts);
  }

  async openFile(relative) {
    await this.pick(relative);
    const name = path.basename(relative);
    await this.until(async () => (await this.activeTab()) === name, `the tab of ${name}`);
    await this.page.locator(".editor-instance .view-line").first().waitFor();
  }

  /** The quick input, with this text chosen. Control+P opens files; ">" before the text runs commands. */
  async pick(text) {
    const label = path.basename(text.replace(/^>/, ""));
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: label }).first();
    const input = this.page.locator(".quick-input-widget input").first();
    await this.until(async () => {
      if (!(await input.isVisible())) {
        await this.page.keyboard.press("Control+p");
      }
      return input.fill(text, { timeout: 1000 }).then(() => true, () => false); // it may just be closing
    }, "the quick input");
    const focused = this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: label }).first();
    await this.until(async () => {
      const found = await focused.isVisible();
      if (!found && (await row.isVisible())) {
        await this.page.keyboard.press("ArrowDown"); // not a click: the keys that follow would go nowhere
      }
      return found;
    }, `the entry ${text}`);
    await this.page.keyboard.press("Enter");
  }

  /** Chooses from a list that has opened. */
  async choosePicked(text) {
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first();
    let clicked = false; // a click that took too long may have chosen it all the same
    await this.until(async () => {
      await this.page.locator(".quick-input-widget input").first().fill(text, { timeout: 1000 }).catch(() => undefined);
      if (!(await row.isVisible())) {
        return clicked;
      }
      clicked = true;
      return row.click({ timeout: 1000 }).then(() => true, () => false);
    }, `${text} in the list`);
  }

  command(title) {
    return this.pick(`>${title}`);
  }

  keys(...keys) {
    return keys.reduce((before, key) => before.then(() => this.page.keyboard.press(key)), Promise.resolve());
  }

  type(text, delay = 0) {
    return this.page.keyboard.type(text, { delay });
  }

  /** Goes to the end of the file and begins a function there whose body is worth suggesting. */
  async beginFunction(name = "area", body = "return box.") {
    await this.keys("Control+End", "Enter", "Enter");
    await this.type(`def ${name}(box: Dimensions) -> float:`);
    await this.keys("Enter");
    await this.type(body);
  }

  /** Goes to a line of the active file, counted from 1; again if a window that was closing took the keys. */
  async goTo(line) {
    const there = async () => (await this.status()).includes(`Ln ${line},`);
    const input = this.page.locator(".quick-input-widget input").first();
    await this.until(async () => {
      if (!(await there())) {
        await this.keys("Control+g");
        await input.fill(`:${line}`, { timeout: 1000 }).catch(() => undefined);
        await this.keys("Enter");
      }
      return there();
    }, `line ${line}`);
  }

  until(what, name, limit = LIMIT_MS) {
    const say = async () => {
      await this.picture("failed").catch(() => undefined);
      return `not seen: ${name}\nnotifications: ${await this.notifications()}\nstatus: ${await this.status()}\nlog:\n${this.log()}`;
    };
    return until(what, say, limit);
  }

  activeTab() {
    const tab = this.page.locator(".editor-group-container.active .tab.active").first();
    return tab.getAttribute("data-resource-name", { timeout: 500 }).catch(() => "");
  }

  status() {
    const items = this.page.locator(".part.statusbar .statusbar-item");
    return items.allTextContents().then((texts) => texts.join(" | ").replaceAll("\u00a0", " "));
  }

  async untilReady() {
    await this.until(async () => /gemma: \d/.test(await this.status()), "the repository to be resident");
  }

  /** Every message that was shown, even if it has gone. */
  notifications() {
    return this.page.evaluate(() => [...(window.said_ ?? [])]);
  }

  /** The ghost text as it is drawn; "" if there is none. */
  ghost() {
    return this.page.evaluate(() => {
      const parts = [...document.querySelectorAll(".editor-instance [class*=ghost-text]")];
      const leaves = parts.filter((part) => part.querySelector("[class*=ghost-text]") === null);
      return leaves.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("");
    });
  }

  untilGhost() {
    return this.until(() => this.ghost(), "ghost text");
  }

  /** The lines of the editors as they are drawn. */
  text() {
    return this.page.locator(".editor-instance .view-line").allTextContents().then((lines) => lines.join("\n").replaceAll("\u00a0", " "));
  }

  /** The text of a file on disk. */
  read(relative) {
    return readFileSync(path.join(this.repository, relative), "utf8");
  }

  /** The same after saving it. */
  async saved(relative) {
    await this.keys("Control+s");
    await this.until(() => this.page.locator(".tab.active.dirty").count().then((n) => n === 0), `${relative} to be saved`);
    return this.read(relative);
  }

  /** Opens the file anew, as it is in the sample repository. */
  async revert(relative) {
    await this.keys("Escape", "Escape", "Control+1");
    await this.openFile(relative);
    await this.command("View: Revert and Close Editor");
    await this.until(async () => (await this.activeTab()) !== path.basename(relative), `${relative} to be closed`);
    copyFileSync(path.join(ROOT, "fixtures", "parcels", relative), path.join(this.repository, relative));
    await this.openFile(relative);
  }

  /** The servers that were started, the oldest first. */
  serverPids() {
    return existsSync(this.pidFile) ? readFileSync(this.pidFile, "utf8").trim().split("\n").map(Number) : [];
  }

  /** Chooses from the menu of code actions at the cursor. */
  async choose(title) {
    await this.openMenu();
    await this.page.locator(".action-widget .monaco-list-row", { hasText: title }).first().click();
  }

  async openMenu() {
    await this.until(async () => {
      await this.keys("Control+.");
      return this.page.locator(".action-widget .monaco-list-row").first().waitFor({ timeout: 3000 }).then(() => true, () => false);
    }, "the menu of code actions");
    return this.page.locator(".action-widget .monaco-list-row").allTextContents();
  }

  /** The panel, once something of it matches. */
  async untilPanel(selector, text) {
    const found = async () => {
      const frame = await this.panel();
      const matching = frame?.locator(selector, text === undefined ? {} : { hasText: text }).last();
      return (await matching?.isVisible().catch(() => false)) ? matching : undefined;
    };
    return this.until(found, `${selector} ${text ?? ""} in the panel`);
  }

  /** What has the keyboard: "editor", "panel" or the element's class. */
  focus() {
    return this.page.evaluate(() => {
      const active = document.activeElement;
      return active?.closest(".editor-instance") ? "editor" : active?.tagName === "IFRAME" ? "panel" : String(active?.className);
    });
  }

  /** Writes down what is drawn of the line that contains `text`, frame by frame, until `stopWatching`. */
  watchLine(text) {
    return this.page.evaluate((wanted) => {
      window.frames_ = [];
      const draw = () => {
        const lines = [...document.querySelectorAll(".editor-instance .view-line")].map((line) => line.textContent.replaceAll("\u00a0", " ").trim());
        const line = lines.find((one) => one.startsWith(wanted)) ?? "";
        if (window.frames_.at(-1) !== line) {
          window.frames_.push(line);
        }
        window.watching_ = requestAnimationFrame(draw);
      };
      draw();
    }, text);
  }

  stopWatching() {
    return this.page.evaluate(() => (cancelAnimationFrame(window.watching_), window.frames_));
  }

  /** The page inside the panel's frame. */
  async panel() {
    for (const frame of this.page.frames()) {
      const found = await frame.locator("main[aria-live]").count().catch(() => 0);
      if (found > 0) {
        return frame;
      }
    }
    return undefined;
  }

  /** The end of what the engine wrote; the server's own lines go to the output channel, which keeps no file here. */
  log() {
    const folder = path.join(this.folder, "run");
    const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".log")) : [];
    return files.map((name) => readFileSync(path.join(folder, name), "utf8").slice(-4000)).join("\n");
  }

  async picture(name) {
    mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: path.join(PICTURES, `${name}.png`) });
  }
}
