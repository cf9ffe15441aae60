import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOf, renderPartial, renderWhole } from "../src/render";

test("a link to a line of a file is kept", () => {
  const html = renderWhole("[a.py:12](file:///r/a.py#L12)");
  assert.equal(html, '<p><a href="file:///r/a.py#L12">a.py:12</a></p>\n');
});

for (const hostile of [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "![x](https://example.org/x.png)",
  "[x](javascript:alert(1))",
  "[x](https://example.org)",
  "[x](command:workbench.action.quit)",
  "<https://example.org>",
]) {
  test(`nothing to load, run or follow in ${hostile}`, () => {
    for (const render of [renderWhole, renderPartial]) {
      assert.doesNotMatch(render(hostile), /<(script|img|a|iframe|object)\b/);
    }
  });
}

test("the words on their way have no links, not even to files", () => {
  assert.doesNotMatch(renderPartial("[a](file:///etc/passwd#L1)"), /<a\b/);
});

test("an open fence is code already", () => {
  assert.match(renderPartial("```python\nx = 1"), /<pre><code class="language-python">x = 1/);
});

test("where a link leads", () => {
  assert.deepEqual(placeOf("file:///r/a%20b.py#L12"), { uri: "file:///r/a%20b.py", line: 11 });
  assert.deepEqual(placeOf("file:///r/a.py"), { uri: "file:///r/a.py", line: 0 });
  assert.deepEqual(placeOf("file:///r/a.py#L0"), { uri: "file:///r/a.py", line: 0 });
  assert.equal(placeOf("https://example.org#L1"), undefined);
  assert.equal(placeOf("command:x"), undefined);
});
