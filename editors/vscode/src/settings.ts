// The settings as the server is to see them: only those that somebody has set.
// VS Code's own defaults would hide what stands in pyproject.toml and in the user's config.toml.

import * as vscode from "vscode";

const OURS = /^gemma-lsp\.(server|trace)\./;

/** What was set in VS Code, by dotted name without the prefix; a folder's value wins over the user's. */
export function explicitSettings(extension: vscode.Extension<unknown>): Record<string, unknown> {
  const configuration = vscode.workspace.getConfiguration();
  const explicit: Record<string, unknown> = {};
  for (const name of names(extension)) {
    const found = configuration.inspect(name);
    const value = found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue;
    if (value !== undefined) {
      explicit[name.slice("gemma-lsp.".length)] = value;
    }
  }
  return explicit;
}

function names(extension: vscode.Extension<unknown>): string[] {
  const blocks = extension.packageJSON.contributes.configuration as { properties: Record<string, unknown> }[];
  return blocks.flatMap((block) => Object.keys(block.properties)).filter((name) => !OURS.test(name));
}
