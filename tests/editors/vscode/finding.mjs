// What a person does about a bug: look at the finding, fix it after a preview, or dismiss it.

import assert from "node:assert/strict";
import { LIMIT_MS } from "./workbench.mjs";

/** One bug in one file: `wrong` on a line, counted from 1, and what that line becomes. */
export class Finding {
  constructor(bench, { file, line, wrong, right }) {
    Object.assign(this, { bench, file, line, wrong, right });
  }

  /** VS Code offers what belongs to a finding where the cursor touches it. */
  async goTo() {
    await this.bench.goTo(this.line);
    await this.bench.keys("Home");
    await this.squiggle().first().waitFor({ timeout: LIMIT_MS });
  }

  squiggle() {
    return this.bench.page.locator(".editor-instance .squiggly-info, .editor-instance .squiggly-warning, .editor-instance .squiggly-hint");
  }

  async untilGone() {
    await this.bench.until(() => this.squiggle().count().then((n) => n === 0), "no squiggle");
  }

  /** VS Code's refactor preview: seen, and then applied. */
  async preview(picture) {
    const { page } = this.bench;
    const apply = page.getByRole("button", { name: "Apply", exact: true }).first();
    await apply.waitFor({ timeout: LIMIT_MS });
    assert.ok(this.isWrong(this.bench.read(this.file)), "nothing has changed yet");
    await page.locator(".bulk-edit-panel .edit-checkbox").first().click();
    await this.bench.picture(picture);
    await apply.click();
    await this.bench.until(async () => (await this.bench.text()).includes(this.right), "the fix in the editor");
    assert.ok((await this.bench.saved(this.file)).includes(this.right));
  }

  async undo() {
    await this.bench.openFile(this.file);
    await this.bench.keys("Control+z");
    await this.bench.until(async () => this.isWrong(await this.bench.saved(this.file)), "the undone fix");
  }

  async dismiss() {
    await this.goTo();
    await this.bench.until(async () => {
      await this.bench.choose("Do not show this finding again"); // again: a busy window loses a click
      return this.squiggle().first().waitFor({ state: "detached", timeout: 30_000 }).then(() => true, () => false);
    }, "no squiggle");
  }

  isWrong(text) {
    return text.split("\n")[this.line - 1].includes(this.wrong);
  }
}
