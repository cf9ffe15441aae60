// Where the server's executable is: the setting, the selected Python environment, `.venv` in a folder, PATH.

import { accessSync, constants, statSync } from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";

/** To be run in a clone: the package is not published. */
export const INSTALL = 'pip install ".[default-model]"';

export type Found = { path: string } | { problem: "missing" } | { problem: "wrong setting"; path: string };

/** Looks everywhere, in that order. A setting that names no executable is an error, not a reason to look further. */
export async function findServer(): Promise<Found> {
  const set = vscode.workspace.getConfiguration("gemma-lsp").get<string>("server.path", "").trim();
  if (set !== "") {
    return isExecutable(set) ? { path: set } : { problem: "wrong setting", path: set };
  }
  const folders = vscode.workspace.isTrusted ? await environmentFolders() : [];
  const onPath = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  const found = [...folders, ...onPath].map(serverIn).find(isExecutable);
  return found === undefined ? { problem: "missing" } : { path: found };
}

/** Where the executables of Python environments lie. Asked in trusted workspaces only: they may belong to the folder. */
async function environmentFolders(): Promise<string[]> {
  const python = await selectedPython();
  const venvs = (vscode.workspace.workspaceFolders ?? []).map((folder) =>
    path.join(folder.uri.fsPath, ".venv", process.platform === "win32" ? "Scripts" : "bin"),
  );
  return [...(python === undefined ? [] : [path.dirname(python)]), ...venvs];
}

/** The part of the Python extension's API that is used here. */
interface PythonApi {
  environments?: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(environment: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
  };
}

async function selectedPython(): Promise<string | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  if (extension !== undefined) {
    try {
      const environments = (await extension.activate()).environments;
      const active = environments?.getActiveEnvironmentPath(folder?.uri);
      const resolved = active && (await environments?.resolveEnvironment(active));
      return resolved?.executable.uri?.fsPath;
    } catch {
      return undefined; // somebody else's extension: what it fails at is not ours to report
    }
  }
  const set = vscode.workspace.getConfiguration("python", folder).get<string>("defaultInterpreterPath", "");
  const python = set.replaceAll("${workspaceFolder}", folder?.uri.fsPath ?? "");
  return path.isAbsolute(python) ? python : undefined;
}

function serverIn(folder: string): string {
  return path.join(folder, process.platform === "win32" ? "gemma-lsp.exe" : "gemma-lsp");
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
