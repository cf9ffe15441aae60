// The server's life: found, started, restarted after a crash, stopped. One for all folders of the window.

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type LanguageClientOptions,
  type StaticFeature,
} from "vscode-languageclient/node";
import { findServer, INSTALL } from "./findServer";
import type { ExplainMessage, Status } from "./protocol";
import { explicitSettings } from "./settings";

const MAX_CRASHES = 4;
const CRASH_WINDOW_MS = 180_000;
const RESTART_AFTER_MS = 500;

const ours: StaticFeature = {
  fillClientCapabilities: (capabilities) => {
    capabilities.experimental = { gemmaLsp: { stream: true, status: true } };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};

/** Logs what it would show: what a person must know is said here, once and in our words. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** What the rest of the extension learns from the server. */
export interface Listener {
  /** `why`: what keeps it from running, if something does. */
  onRunning(running: boolean, why?: string): void;
  onStatus(status: Status): void;
  onExplain(message: ExplainMessage): void;
}

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private working: Promise<void> = Promise.resolve(); // starts and stops follow each other
  private crashes: number[] = [];
  private disposed = false;

  constructor(
    private readonly extension: vscode.Extension<unknown>,
    private readonly log: vscode.LogOutputChannel,
    private readonly listener: Listener,
  ) {}

  get running(): boolean {
    return this.client?.state === State.Running;
  }

  /** The executable that was found last; "" if none was. */
  path = "";

  start(): Promise<void> {
    return this.queue(() => this.startNow());
  }

  restart(): Promise<void> {
    this.crashes = [];
    return this.queue(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  stop(): Promise<void> {
    return this.queue(() => this.stopNow());
  }

  /** Runs one of the server's commands; says so and answers undefined where there is no server. */
  async execute(command: string, argument: object): Promise<unknown> {
    await this.working;
    if (this.client === undefined || !this.running) {
      const choice = await vscode.window.showWarningMessage("gemma-lsp: the server does not run.", "Restart", "Show Log");
      this.react(choice);
      return undefined;
    }
    try {
      return await this.client.sendRequest("workspace/executeCommand", { command, arguments: [argument] });
    } catch (error) {
      this.log.info(`${command}: ${error}`); // the server has shown what a person must know
      return undefined;
    }
  }

  dispose(): void {
    void this.end();
  }

  /** Stops for good. */
  end(): Promise<void> {
    this.disposed = true;
    return this.stop();
  }

  private queue(work: () => Promise<void>): Promise<void> {
    this.working = this.working.then(work).catch((error: unknown) => this.log.error(String(error)));
    return this.working;
  }

  private async startNow(): Promise<void> {
    if (this.disposed || this.running) {
      return;
    }
    const found = await findServer();
    if ("problem" in found) {
      this.path = "";
      this.complain(found.problem === "missing" ? undefined : found.path);
      return;
    }
    this.path = found.path;
    this.log.info(`starting ${found.path}`);
    const client: LanguageClient = new QuietClient(
      "gemma-lsp",
      "gemma-lsp",
      { command: found.path, args: ["serve"], options: { cwd: this.extension.extensionPath } },
      this.options(() => this.client === client && this.onClosed(client)),
    );
    client.registerFeature(ours);
    client.onNotification("gemma-lsp/explain", (message: ExplainMessage) => this.listener.onExplain(message));
    client.onNotification("gemma-lsp/status", (status: Status) => this.listener.onStatus(status));
    this.client = client;
    try {
      await client.start();
    } catch (error) {
      this.client = undefined;
      this.log.error(`the server did not start: ${error}`);
      const message = `gemma-lsp: ${found.path} does not start as a language server; the log says why.`;
      this.listener.onRunning(false, message);
      void this.offer(message);
      return;
    }
    this.listener.onRunning(true);
    this.listener.onStatus(await client.sendRequest<Status>("gemma-lsp/status"));
  }

  private async stopNow(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (client?.state === State.Running) {
      await client.stop().catch((error: unknown) => this.log.info(`stopping: ${error}`));
    }
    this.listener.onRunning(false);
  }

  private onClosed(client: LanguageClient): void {
    if (client.state === State.Starting) {
      return; // start() tells
    }
    this.client = undefined;
    this.listener.onRunning(false);
    const now = Date.now();
    this.crashes = [...this.crashes.filter((at) => now - at < CRASH_WINDOW_MS), now];
    this.log.warn(`the server ended unexpectedly (${this.crashes.length} times in the last minutes)`);
    if (this.crashes.length < MAX_CRASHES) {
      setTimeout(() => void this.start(), RESTART_AFTER_MS);
    } else {
      const message = "gemma-lsp: the server ended unexpectedly several times and is not started again; the log says why.";
      this.listener.onRunning(false, message);
      void this.offer(message);
    }
  }

  private options(onClosed: () => void): LanguageClientOptions {
    return {
      documentSelector: [
        { scheme: "file", language: "python" },
        { scheme: "untitled", language: "python" },
      ],
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          onClosed();
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      middleware: {
        executeCommand: async (command, args, next) => {
          try {
            return await next(command, args);
          } catch (error) {
            this.log.info(`${command}: ${error}`); // stopped with the server, or the server has said what is wrong
          }
        },
        workspace: {
          configuration: (params) => params.items.map(() => explicitSettings(this.extension)),
        },
      },
    };
  }

  private async offer(message: string): Promise<void> {
    this.react(await vscode.window.showErrorMessage(message, "Restart", "Show Log"));
  }

  private react(choice: string | undefined): void {
    if (choice === "Restart") {
      void this.restart();
    } else if (choice === "Show Log") {
      this.log.show();
    }
  }

  private complain(wrongPath: string | undefined): void {
    if (wrongPath !== undefined) {
      const message = `gemma-lsp: the setting gemma-lsp.server.path names no executable file: ${wrongPath}`;
      this.listener.onRunning(false, message);
      void vscode.window.showErrorMessage(message, "Open Setting").then((choice) => choice && openSetting());
      return;
    }
    const message = `gemma-lsp: the server is not installed here. Run ${INSTALL} in a clone of gemma-lsp, then "gemma-lsp: Restart the Server".`;
    this.listener.onRunning(false, message);
    void vscode.window.showWarningMessage(message, "Copy Command", "Restart").then(async (choice) => {
      if (choice === "Copy Command") {
        await vscode.env.clipboard.writeText(INSTALL);
      }
      this.react(choice);
    });
  }
}

function openSetting(): void {
  void vscode.commands.executeCommand("workbench.action.openSettings", "gemma-lsp.server.path");
}
