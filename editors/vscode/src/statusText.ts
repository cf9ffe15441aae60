// What the status bar says. Knows nothing of VS Code.

import type { Status, WorkspaceStatus } from "./protocol";

export interface StatusText {
  text: string;
  details: string[]; // lines of plain text
  isError: boolean;
}

/** The state in a few words, with an icon, and in whole lines. */
export function statusText(status: Status): StatusText {
  const broken = status.workspaces.find((one) => one.state === "failed");
  const error = status.engine.error || (broken?.error ?? "");
  const isError = status.engine.state === "failed" || error !== "";
  return { text: isError ? "$(warning) gemma" : short(status), details: details(status, error), isError };
}

function short(status: Status): string {
  const busy = status.workspaces.find((one) => one.progress !== null);
  if (busy?.progress) {
    const { done, total, secondsLeft } = busy.progress;
    const share = total > 0 ? Math.floor((100 * done) / total) : 0;
    return `$(sync~spin) gemma: reading ${share}%${secondsLeft === null ? "" : `, ${duration(secondsLeft)}`}`;
  }
  if (status.workspaces.some((one) => one.state === "indexing" || one.state === "laying out" || one.state === "new")) {
    return "$(sync~spin) gemma: indexing";
  }
  if (status.engine.state !== "ready") {
    return status.engine.state === "starting" ? "$(sync~spin) gemma: loading" : "$(circle-outline) gemma";
  }
  const tokens = status.workspaces.reduce((sum, one) => sum + one.residentTokens, 0);
  return tokens > 0 ? `$(sparkle) gemma: ${thousands(tokens)}` : "$(sparkle) gemma";
}

function details(status: Status, error: string): string[] {
  const lines = error === "" ? [] : [error];
  const model = status.model;
  lines.push(
    model === null
      ? `Model: ${status.engine.state === "starting" ? "being loaded" : "none loaded"}`
      : `Model: ${model.name}, ${count(model.contextTokens)} tokens of context, ${model.devices.join(", ") || "CPU"}`,
  );
  lines.push(...status.workspaces.map(workspace));
  const last = status.lastAnswer;
  if (last !== null) {
    const { reused, prompt, evaluated, generated, totalMs } = last.cost;
    const share = prompt > 0 ? Math.round((100 * reused) / prompt) : 0;
    const cost = `${share}% of ${count(prompt)} tokens resident, ${count(evaluated)} read, ${count(generated)} written`;
    const kind = last.kind === "inlineCompletion" ? "ghost text" : last.kind;
    lines.push(`Last answer (${kind}): ${cost}, ${(totalMs / 1000).toFixed(1)} s`);
  }
  lines.push(`Server: ${status.version}`);
  return lines;
}

function workspace(one: WorkspaceStatus): string {
  const parts = [`${one.name}: ${one.state}`, `${count(one.files)} files`];
  if (one.progress !== null) {
    const left = one.progress.secondsLeft;
    parts.push(`${count(one.progress.done)} of ${count(one.progress.total)} tokens read`);
    parts.push(...(left === null ? [] : [`${duration(left)} left`]));
  } else {
    parts.push(`${count(one.residentTokens)} tokens resident`);
  }
  return parts.join(", ");
}

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

function thousands(tokens: number): string {
  return tokens < 1000 ? String(tokens) : `${(tokens / 1000).toFixed(tokens < 10_000 ? 1 : 0)}K`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
