// What the panel and its page say to each other. Types alone.

import type { Shown } from "./conversation";

export type ToPage = { kind: "all"; answers: Shown[] } | { kind: "one"; answer: Shown };

export type FromPage =
  | { kind: "ready" }
  | { kind: "open"; href: string }
  | { kind: "stop"; id: string }
  | { kind: "ask"; question: string };
