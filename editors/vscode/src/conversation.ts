// The answers that the panel shows, built from the server's messages. Knows nothing of VS Code.

import type { ExplainMessage } from "./protocol";
import { renderPartial, renderWhole } from "./render";

export type State = "answering" | "done" | "stopped" | "failed";

export interface Answer {
  id: string;
  title: string;
  thinking: string;
  text: string; // the words so far, or in the end the whole document
  whole: boolean; // the document has come, and the server remembers what was said
  state: State;
}

export interface Shown {
  id: string;
  title: string;
  thinking: string;
  html: string;
  whole: boolean;
  state: State;
}

/** One question and those that follow it. An answer that follows nothing begins a new conversation. */
export class Conversation {
  private answers: Answer[] = [];
  private readonly following = new Set<string>();

  get last(): Answer | undefined {
    return this.answers.at(-1);
  }

  get shown(): Shown[] {
    return this.answers.map(shown);
  }

  /** The answer with this id will be shown below the others. Returns the one that the server can go on from. */
  expectFollowUp(id: string): string | undefined {
    this.following.add(id);
    return this.answers.findLast((one) => one.whole)?.id;
  }

  /** Takes a message; returns the answer that it changed. Messages of forgotten answers are left out. */
  take(message: ExplainMessage): Answer | undefined {
    if ("title" in message) {
      return this.begin(message.id, message.title);
    }
    const answer = this.answers.find((one) => one.id === message.id);
    if (answer === undefined || answer.state !== "answering") {
      return undefined;
    }
    if ("done" in message) {
      finish(answer, message);
    } else if ("thinking" in message) {
      answer.thinking += message.thinking;
    } else {
      answer.text += message.delta;
    }
    return answer;
  }

  /** The server is gone: nothing more comes. */
  abandon(why: string): void {
    for (const answer of this.answers) {
      answer.whole = false; // the next server remembers none of them
    }
    for (const answer of this.answers.filter((one) => one.state === "answering")) {
      answer.state = "failed";
      answer.text += `${answer.text === "" ? "" : "\n\n"}${why}`;
    }
  }

  private begin(id: string, title: string): Answer {
    if (!this.following.delete(id)) {
      this.answers = [];
    }
    const answer: Answer = { id, title, thinking: "", text: "", whole: false, state: "answering" };
    this.answers.push(answer);
    return answer;
  }
}

/** An answer as the panel draws it. */
export function shown(answer: Answer): Shown {
  const { id, title, thinking, whole, state } = answer;
  return { id, title, thinking, html: whole ? renderWhole(answer.text) : renderPartial(answer.text), whole, state };
}

function finish(answer: Answer, message: Extract<ExplainMessage, { done: true }>): void {
  answer.thinking = message.thinking ?? answer.thinking;
  if (message.error !== undefined) {
    answer.state = "failed";
    answer.text = message.error;
    return;
  }
  answer.state = message.cancelled ? "stopped" : "done";
  if (message.markdown !== undefined) {
    answer.text = message.markdown; // a stopped answer may have none: then the words so far stay
    answer.whole = true;
  }
}
