import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "../src/conversation";

test("an answer grows and is replaced by the whole document", () => {
  const conversation = new Conversation();
  conversation.take({ id: "1", title: "Explain" });
  conversation.take({ id: "1", thinking: "hm" });
  conversation.take({ id: "1", delta: "It is " });
  conversation.take({ id: "1", delta: "so." });
  assert.deepEqual(conversation.shown, [
    { id: "1", title: "Explain", thinking: "hm", html: "<p>It is so.</p>\n", whole: false, state: "answering" },
  ]);
  conversation.take({ id: "1", done: true, markdown: "# Explain\n\n[a](file:///a#L1)", thinking: "hm, yes" });
  const [answer] = conversation.shown;
  assert.equal(answer?.state, "done");
  assert.equal(answer?.thinking, "hm, yes");
  assert.match(answer?.html ?? "", /<a href="file:\/\/\/a#L1">a<\/a>/);
});

test("a follow-up stands below; anything else begins anew", () => {
  const conversation = new Conversation();
  conversation.take({ id: "1", title: "One" });
  conversation.take({ id: "1", done: true, markdown: "one" });
  assert.equal(conversation.expectFollowUp("2"), "1");
  conversation.take({ id: "2", title: "Two" });
  assert.deepEqual(conversation.shown.map((one) => one.id), ["1", "2"]);
  conversation.take({ id: "3", title: "Three" });
  assert.deepEqual(conversation.shown.map((one) => one.id), ["3"]);
});

test("a stopped answer keeps what there was; a failed one says why", () => {
  const conversation = new Conversation();
  conversation.take({ id: "1", title: "One" });
  conversation.take({ id: "1", done: true, cancelled: true, markdown: "so far" });
  assert.equal(conversation.last?.state, "stopped");
  conversation.take({ id: "2", title: "Two" });
  conversation.take({ id: "2", done: true, error: "no model" });
  assert.deepEqual([conversation.last?.state, conversation.last?.text], ["failed", "no model"]);
});

test("messages of answers that are over or forgotten change nothing", () => {
  const conversation = new Conversation();
  assert.equal(conversation.take({ id: "0", delta: "x" }), undefined);
  conversation.take({ id: "1", title: "One" });
  conversation.take({ id: "1", done: true, markdown: "one" });
  assert.equal(conversation.take({ id: "1", delta: "more" }), undefined);
  assert.equal(conversation.last?.text, "one");
});

test("an answer whose server has gone ends", () => {
  const conversation = new Conversation();
  conversation.take({ id: "1", title: "One" });
  conversation.take({ id: "1", delta: "half" });
  conversation.abandon("gone");
  assert.deepEqual([conversation.last?.state, conversation.last?.text], ["failed", "half\n\ngone"]);
});

test("an answer that was stopped before a whole sentence keeps its words; what the server forgot is not followed", () => {
  const conversation = new Conversation();
  conversation.take({ id: "1", title: "One" });
  conversation.take({ id: "1", delta: "Half a" });
  conversation.take({ id: "1", done: true, cancelled: true });
  assert.deepEqual([conversation.last?.state, conversation.last?.text], ["stopped", "Half a"]);
  assert.equal(conversation.expectFollowUp("2"), undefined);
  conversation.take({ id: "2", title: "Two" });
  conversation.take({ id: "2", done: true, markdown: "two" });
  assert.equal(conversation.expectFollowUp("3"), "2");
  conversation.abandon("gone");
  assert.equal(conversation.expectFollowUp("4"), undefined);
  assert.equal(conversation.shown.length, 2);
});
