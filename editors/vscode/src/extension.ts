// What VS Code calls, and the commands. Everything else of gemma-lsp lives in the server.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { INSTALL } from "./findServer";
import { chooseModel } from "./models";
import { Panel } from "./panel";
import { Server } from "./server";
import { StatusBar } from "./statusBar";

let running: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("gemma-lsp", { log: true });
  const bar = new StatusBar();
  const panel: Panel = new Panel(context.extensionUri, {
    ask: (question, id, follows) => void server.execute("gemma-lsp.ask", { question, id, follows }),
    stop: (id) => void server.execute("gemma-lsp.stop", { id }),
  });
  const server = new Server(context.extension, log, {
    onExplain: (message) => panel.take(message),
    onStatus: (status) => {
      bar.update(status);
      setContext("modelLoaded", status.model !== null);
    },
    onRunning: (running, why) => {
      setContext("running", running);
      if (!running) {
        bar.stopped(why);
        panel.abandon();
      }
    },
  });
  running = server;
  context.subscriptions.push(log, bar, panel, server, ...commands(server, panel, bar, log));
  context.subscriptions.push(...watch(server, bar));
  await server.start();
}

export async function deactivate(): Promise<void> {
  await running?.end();
}

function commands(server: Server, panel: Panel, bar: StatusBar, log: vscode.LogOutputChannel): vscode.Disposable[] {
  const all: Record<string, () => unknown> = {
    explainSelection: () => explain(server),
    explainTraceback: () => explainTraceback(server),
    askQuestion: () => ask(server),
    stopAnswer: () => panel.answering && server.execute("gemma-lsp.stop", { id: panel.answering }),
    toggleCompletions: toggleCompletions,
    chooseModel: () => (server.path === "" ? server.start() : chooseModel(server.path)),
    copyInstallCommand: () => vscode.env.clipboard.writeText(INSTALL),
    showStatus: () => bar.showDetails(),
    restart: () => server.restart(),
    showLog: () => log.show(),
  };
  return Object.entries(all).map(([name, run]) => vscode.commands.registerCommand(`gemma-lsp.${name}`, run));
}

/** What may change while the window is open. */
function watch(server: Server, bar: StatusBar): vscode.Disposable[] {
  return [
    vscode.workspace.onDidGrantWorkspaceTrust(() => server.start()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("gemma-lsp.server.path")) {
        void server.restart();
      } else if (event.affectsConfiguration("gemma-lsp.completion.enabled")) {
        bar.redraw();
      }
    }),
  ];
}

async function explain(server: Server): Promise<void> {
  const place = here();
  if (place === undefined) {
    void vscode.window.showInformationMessage("gemma-lsp: open a Python file to explain something of it.");
    return;
  }
  await server.execute("gemma-lsp.explain", { ...place, about: "code" });
}

async function explainTraceback(server: Server): Promise<void> {
  const traceback = await vscode.env.clipboard.readText();
  if (traceback.trim() === "") {
    void vscode.window.showInformationMessage("gemma-lsp: copy the output of the failing program first.");
    return;
  }
  await server.execute("gemma-lsp.explain", { traceback });
}

async function ask(server: Server): Promise<void> {
  const question = await vscode.window.showInputBox({
    title: "Ask about the repository",
    prompt: "The selection, if there is one, goes with the question.",
  });
  if (question?.trim()) {
    const selected = vscode.window.activeTextEditor?.selection.isEmpty === false ? here() : {};
    await server.execute("gemma-lsp.ask", { question, id: randomBytes(8).toString("hex"), ...selected });
  }
}

/** The selection, in the protocol's terms; undefined outside of Python files. */
function here(): { uri: string; range: object } | undefined {
  const editor = vscode.window.activeTextEditor;
  if (editor?.document.languageId !== "python" || !["file", "untitled"].includes(editor.document.uri.scheme)) {
    return undefined;
  }
  const { start, end } = editor.selection;
  const point = ({ line, character }: vscode.Position) => ({ line, character });
  return { uri: editor.document.uri.toString(), range: { start: point(start), end: point(end) } };
}

async function toggleCompletions(): Promise<void> {
  const settings = vscode.workspace.getConfiguration("gemma-lsp");
  const enabled = settings.get("completion.enabled", true);
  await settings.update("completion.enabled", !enabled, vscode.ConfigurationTarget.Global);
}

function setContext(name: string, value: boolean): void {
  void vscode.commands.executeCommand("setContext", `gemma-lsp.${name}`, value);
}
