// The server's own messages, as docs/protocol.md has them. Types alone.

export type ExplainMessage = { id: string } & (
  | { title: string }
  | { thinking: string }
  | { delta: string }
  | { done: true; markdown?: string; thinking?: string; error?: string; cancelled?: true }
);

export interface Cost {
  prompt: number;
  reused: number;
  evaluated: number;
  generated: number;
  totalMs: number;
}

export interface WorkspaceStatus {
  name: string;
  root: string | null;
  state: string;
  error: string;
  files: number;
  bodyTokens: number;
  residentTokens: number;
  progress: { done: number; total: number; secondsLeft: number | null } | null;
}

export interface Status {
  version: string;
  engine: { state: "stopped" | "starting" | "ready" | "failed"; error: string };
  model: { name: string; path: string; contextTokens: number; devices: string[] } | null;
  workspaces: WorkspaceStatus[];
  lastAnswer: { kind: string; reason: string; cost: Cost } | null;
}

/** What `gemma-lsp models --json` prints for each model. */
export interface ListedModel {
  name: string;
  place: string;
  path: string;
  bytes: number;
  architecture: string | null;
  trainedContext: number | null;
  context: number;
  chat: boolean | null;
  problem: string | null;
  chosen: boolean;
}
