// The item in the status bar, and the list that a click on it opens.

import * as vscode from "vscode";
import type { Status } from "./protocol";
import { statusText, type StatusText } from "./statusText";

const STOPPED: StatusText = { text: "$(circle-slash) gemma", details: ["The server does not run."], isError: true };
const STARTING: StatusText = { text: "$(sync~spin) gemma: starting", details: ["The server is being started."], isError: false };

const ACTIONS: { label: string; command: string }[] = [
  { label: "$(comment-discussion) Ask about the repository...", command: "gemma-lsp.askQuestion" },
  { label: "$(chip) Choose a model...", command: "gemma-lsp.chooseModel" },
  { label: "$(symbol-boolean) Turn completions on or off", command: "gemma-lsp.toggleCompletions" },
  { label: "$(output) Show the log", command: "gemma-lsp.showLog" },
  { label: "$(debug-restart) Restart the server", command: "gemma-lsp.restart" },
];

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("gemma-lsp.status", vscode.StatusBarAlignment.Right, 100);
  private said = STARTING;

  constructor() {
    this.item.name = "gemma-lsp";
    this.item.command = "gemma-lsp.showStatus";
    this.draw(STARTING);
    this.item.show();
  }

  update(status: Status): void {
    this.draw(statusText(status));
  }

  /** `why`: what keeps the server from running. */
  stopped(why?: string): void {
    this.draw(why === undefined ? STOPPED : { ...STOPPED, details: [why.replace(/^gemma-lsp: /, "")] });
  }

  /** The details as a list, with what one may want to do about them. */
  async showDetails(): Promise<void> {
    const details = this.said.details.map((line): vscode.QuickPickItem & { command?: string } => ({ label: line }));
    const separator = { label: "", kind: vscode.QuickPickItemKind.Separator };
    const items = [...details, separator, ...ACTIONS];
    const chosen = await vscode.window.showQuickPick(items, { title: "gemma-lsp", placeHolder: "What to do" });
    if (chosen !== undefined && "command" in chosen && chosen.command !== undefined) {
      await vscode.commands.executeCommand(chosen.command);
    }
  }

  dispose(): void {
    this.item.dispose();
  }

  private draw(said: StatusText): void {
    this.said = said;
    const muted = !vscode.workspace.getConfiguration("gemma-lsp").get("completion.enabled", true);
    this.item.text = muted ? `${said.text} (completions off)` : said.text;
    this.item.tooltip = said.details.join("\n");
    this.item.backgroundColor = said.isError ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
  }

  /** Draws the same again, after a setting has changed. */
  redraw(): void {
    this.draw(this.said);
  }
}
