import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status, WorkspaceStatus } from "../src/protocol";
import { statusText } from "../src/statusText";

const workspace: WorkspaceStatus = {
  name: "parcels", root: "/r", state: "ready", error: "", files: 23, bodyTokens: 12_000, residentTokens: 12_340, progress: null,
};
const status: Status = {
  version: "0.1.0",
  engine: { state: "ready", error: "" },
  model: { name: "gemma", path: "/m.gguf", contextTokens: 32_768, devices: [] },
  workspaces: [workspace],
  lastAnswer: null,
};

test("what is resident", () => {
  const { text, details, isError } = statusText(status);
  assert.equal(text, "$(sparkle) gemma: 12K");
  assert.equal(isError, false);
  assert.deepEqual(details, [
    "Model: gemma, 32,768 tokens of context, CPU",
    "parcels: ready, 23 files, 12,340 tokens resident",
    "Server: 0.1.0",
  ]);
});

test("how far the reading is, with the time left once it is known", () => {
  const reading = (secondsLeft: number | null) => ({
    ...status,
    workspaces: [{ ...workspace, state: "warming", progress: { done: 3000, total: 12_000, secondsLeft } }],
  });
  assert.equal(statusText(reading(null)).text, "$(sync~spin) gemma: reading 25%");
  assert.equal(statusText(reading(36.4)).text, "$(sync~spin) gemma: reading 25%, 36 s");
  assert.equal(statusText(reading(240)).text, "$(sync~spin) gemma: reading 25%, 4 min");
  assert.ok(statusText(reading(36.4)).details[1]?.endsWith("3,000 of 12,000 tokens read, 36 s left"));
});

test("what goes on before anything is read", () => {
  const indexing = { ...status, workspaces: [{ ...workspace, state: "indexing", residentTokens: 0 }] };
  assert.equal(statusText(indexing).text, "$(sync~spin) gemma: indexing");
  const starting: Status = { ...status, engine: { state: "starting", error: "" }, model: null, workspaces: [] };
  assert.equal(statusText(starting).text, "$(sync~spin) gemma: loading");
});

test("what is wrong comes first", () => {
  const failed: Status = { ...status, engine: { state: "failed", error: "no such model" }, model: null };
  const { text, details, isError } = statusText(failed);
  assert.equal(text, "$(warning) gemma");
  assert.equal(details[0], "no such model");
  assert.equal(isError, true);
});

test("what the last answer reused", () => {
  const cost = { prompt: 10_000, reused: 9_900, evaluated: 100, generated: 24, totalMs: 1234 };
  const { details } = statusText({ ...status, lastAnswer: { kind: "explain", reason: "", cost } });
  assert.ok(details.includes("Last answer (explain): 99% of 10,000 tokens resident, 100 read, 24 written, 1.2 s"));
});
