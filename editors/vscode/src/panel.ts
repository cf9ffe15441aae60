// The panel beside the editor in which answers stream. One for the window; it opens when an answer begins.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { Conversation, shown } from "./conversation";
import type { FromPage, ToPage } from "./messages";
import type { ExplainMessage } from "./protocol";
import { placeOf } from "./render";

const DRAW_EVERY_MS = 60;

/** What the panel asks of the rest. */
export interface Requests {
  ask(question: string, id: string, follows: string | undefined): void;
  stop(id: string): void;
}

export class Panel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private drawing: NodeJS.Timeout | undefined;
  private readonly conversation = new Conversation();

  constructor(
    private readonly extension: vscode.Uri,
    private readonly requests: Requests,
  ) {}

  /** The answer that is being written, if there is one. */
  get answering(): string | undefined {
    const last = this.conversation.last;
    return last?.state === "answering" ? last.id : undefined;
  }

  take(message: ExplainMessage): void {
    const answer = this.conversation.take(message);
    if (answer === undefined) {
      return;
    }
    if ("title" in message) {
      this.reveal();
      this.drawAll();
    } else if ("done" in message) {
      this.post({ kind: "one", answer: shown(answer) });
    } else {
      this.drawing ??= setTimeout(() => this.drawLast(), DRAW_EVERY_MS);
    }
    this.tellContext();
  }

  /** Nothing more will come from the server. */
  abandon(): void {
    this.conversation.abandon("The server ended before the answer did.");
    this.drawAll();
    this.tellContext();
  }

  dispose(): void {
    clearTimeout(this.drawing);
    this.panel?.dispose();
  }

  private drawLast(): void {
    this.drawing = undefined;
    const last = this.conversation.last;
    if (last !== undefined) {
      this.post({ kind: "one", answer: shown(last) });
    }
  }

  private drawAll(): void {
    this.post({ kind: "all", answers: this.conversation.shown });
  }

  private post(message: ToPage): void {
    void this.panel?.webview.postMessage(message);
  }

  private tellContext(): void {
    void vscode.commands.executeCommand("setContext", "gemma-lsp.answering", this.answering !== undefined);
  }

  /** Shows the panel without taking the focus. */
  private reveal(): void {
    if (this.panel !== undefined) {
      const covers = this.panel.viewColumn === vscode.window.activeTextEditor?.viewColumn;
      this.panel.reveal(covers ? vscode.ViewColumn.Beside : undefined, true);
      return;
    }
    const roots = [vscode.Uri.joinPath(this.extension, "dist"), vscode.Uri.joinPath(this.extension, "media")];
    this.panel = vscode.window.createWebviewPanel(
      "gemma-lsp.answers",
      "gemma-lsp",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: roots, enableFindWidget: true },
    );
    this.panel.onDidDispose(() => {
      this.panel = undefined;
      const running = this.answering;
      if (running !== undefined) {
        this.requests.stop(running); // nobody reads it any more
      }
    });
    this.panel.webview.onDidReceiveMessage((message: FromPage) => this.receive(message));
    this.panel.webview.html = this.html(this.panel.webview);
  }

  private receive(message: FromPage): void {
    switch (message.kind) {
      case "ready":
        this.drawAll();
        break;
      case "open":
        void open(message.href);
        break;
      case "stop":
        this.requests.stop(message.id);
        break;
      case "ask":
        this.follow(message.question);
    }
  }

  private follow(question: string): void {
    const id = randomBytes(8).toString("hex");
    this.requests.ask(question, id, this.conversation.expectFollowUp(id));
  }

  private html(webview: vscode.Webview): string {
    const nonce = randomBytes(16).toString("base64");
    const uri = (...parts: string[]) => webview.asWebviewUri(vscode.Uri.joinPath(this.extension, ...parts));
    const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}`;
    return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="stylesheet" href="${uri("media", "panel.css")}">
<title>gemma-lsp</title>
</head>
<body>
<main aria-live="polite"></main>
<form>
<input type="text" placeholder="Ask a follow-up question" aria-label="Follow-up question" maxlength="4000">
<button type="submit">Ask</button>
<button type="button" id="stop" disabled>Stop</button>
</form>
<script nonce="${nonce}" src="${uri("dist", "webview.js")}"></script>
</body>
</html>`;
  }
}

/** Shows the line that a link leads to, in the editor group that is not the panel's. */
async function open(href: string): Promise<void> {
  const place = placeOf(href);
  if (place === undefined) {
    return;
  }
  const selection = new vscode.Range(place.line, 0, place.line, 0);
  const uri = vscode.Uri.parse(place.uri, true);
  const beside = vscode.window.visibleTextEditors[0]?.viewColumn ?? vscode.ViewColumn.One;
  try {
    await vscode.window.showTextDocument(uri, { selection, viewColumn: beside });
  } catch {
    void vscode.window.showWarningMessage(`gemma-lsp: ${uri.fsPath} cannot be opened; it may have been removed.`);
  }
}
