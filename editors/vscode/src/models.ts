// Choosing a model: what `gemma-lsp models` finds on this machine, or a file.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";
import type { ListedModel } from "./protocol";

const LIMIT_MS = 60_000;

type Item = vscode.QuickPickItem & { path?: string; browse?: true };

/** Lets the person choose, and sets `model.path`; the server takes it up by itself. */
export async function chooseModel(server: string): Promise<void> {
  const path = await pick(server);
  if (path !== undefined) {
    await vscode.workspace.getConfiguration("gemma-lsp").update("model.path", path, vscode.ConfigurationTarget.Global);
  }
}

async function pick(server: string): Promise<string | undefined> {
  const items: Item[] = [
    ...(await listed(server)).map(item),
    { label: "", kind: vscode.QuickPickItemKind.Separator },
    { label: "$(folder-opened) Choose a GGUF file...", browse: true },
    { label: "$(discard) Let the server choose", description: "the best one that it finds", path: "" },
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: "Choose a model",
    placeHolder: "Models on this machine, and the context that fits",
    matchOnDescription: true,
  });
  if (chosen?.browse) {
    const files = await vscode.window.showOpenDialog({ title: "A GGUF file", filters: { GGUF: ["gguf"] } });
    return files?.[0]?.fsPath;
  }
  return chosen?.path;
}

async function listed(server: string): Promise<ListedModel[]> {
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: "gemma-lsp: looking for models" },
    async () => {
      try {
        const { stdout } = await promisify(execFile)(server, ["models", "--json"], { timeout: LIMIT_MS });
        return JSON.parse(stdout) as ListedModel[];
      } catch (error) {
        void vscode.window.showWarningMessage(`gemma-lsp: the models could not be listed: ${firstLine(error)}`);
        return [];
      }
    },
  );
}

function item(model: ListedModel): Item {
  const gigabytes = `${(model.bytes / 1e9).toFixed(model.bytes < 1e9 ? 2 : 1)} GB`;
  const kind = [model.architecture, model.chat ? "chat" : "base"].filter(Boolean).join(", ");
  const fits = model.problem ?? `${model.context.toLocaleString("en-US")} tokens of context fit`;
  return {
    label: `${model.chosen ? "$(check) " : ""}${model.name}`,
    description: `${gigabytes}, ${kind}; ${fits}`,
    detail: `${model.place}: ${model.path}`,
    path: model.path,
  };
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0] ?? "";
}
