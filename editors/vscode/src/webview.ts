// The page of the answers' panel: draws what it is sent, reports what is clicked. Holds no state of its own.

import type { Shown } from "./conversation";
import type { FromPage, ToPage } from "./messages";

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void };

const vscode = acquireVsCodeApi();
const list = document.querySelector("main")!;
const form = document.querySelector("form")!;
const input = document.querySelector("input")!;
const stop = document.querySelector<HTMLButtonElement>("#stop")!;

const STATES = { answering: "answering…", done: "", stopped: "stopped", failed: "failed" };

window.addEventListener("message", (event: MessageEvent<ToPage>) => {
  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
  if (event.data.kind === "all") {
    list.replaceChildren(...event.data.answers.map(section));
  } else {
    const { answer } = event.data;
    const old = document.getElementById(answer.id);
    old === null ? list.append(section(answer)) : fill(old, answer);
  }
  const last = list.lastElementChild as HTMLElement | null;
  stop.disabled = last?.dataset["state"] !== "answering";
  stop.value = last?.id ?? "";
  if (atEnd) {
    window.scrollTo(0, document.body.scrollHeight);
  }
});

document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest("a");
  if (link !== null) {
    event.preventDefault();
    vscode.postMessage({ kind: "open", href: link.getAttribute("href") ?? "" });
  }
});

stop.addEventListener("click", () => vscode.postMessage({ kind: "stop", id: stop.value }));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = input.value.trim();
  if (question !== "") {
    input.value = "";
    vscode.postMessage({ kind: "ask", question });
  }
});

vscode.postMessage({ kind: "ready" });

function section(answer: Shown): HTMLElement {
  const made = document.createElement("section");
  made.id = answer.id;
  made.innerHTML = "<h1></h1><details hidden><summary>Thinking</summary><pre></pre></details><article></article><p></p>";
  fill(made, answer);
  return made;
}

/** Changes what is there instead of replacing it, so that an opened fold stays open. */
function fill(made: HTMLElement, answer: Shown): void {
  const part = (name: string): HTMLElement => made.querySelector<HTMLElement>(`:scope > ${name}`)!;
  made.dataset["state"] = answer.state;
  part("h1").textContent = answer.title;
  part("h1").hidden = answer.whole; // the document has its own
  part("details").hidden = answer.thinking === "";
  part("details").querySelector("pre")!.textContent = answer.thinking;
  part("article").innerHTML = answer.html; // made by markdown-it with HTML off; the page's policy allows no script
  part("p").textContent = STATES[answer.state];
}
