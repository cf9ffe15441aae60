// Markdown to HTML that cannot load, run or disguise anything. Knows nothing of VS Code.

import MarkdownIt from "markdown-it";

const FILE_LINK = /^file:\/\/\//i;

const whole = new MarkdownIt({ html: false, linkify: false, typographer: false }).disable("image");
whole.validateLink = (href) => FILE_LINK.test(href);

const partial = new MarkdownIt({ html: false, linkify: false, typographer: false }).disable([
  "image",
  "link",
  "reference",
  "autolink",
]);

/** A finished document of the server's: its `file:` links are kept, no others. */
export function renderWhole(markdown: string): string {
  return whole.render(markdown);
}

/** The model's words as they come: no links at all. */
export function renderPartial(markdown: string): string {
  return partial.render(markdown);
}

/** Where a link leads: the file's URI and the line, counted from 0; undefined if it is no link of ours. */
export function placeOf(href: string): { uri: string; line: number } | undefined {
  if (!FILE_LINK.test(href)) {
    return undefined;
  }
  const [uri = "", fragment = ""] = href.split("#", 2);
  const line = /^L(\d{1,9})/.exec(fragment)?.[1];
  return { uri, line: line === undefined ? 0 : Math.max(0, Number(line) - 1) };
}
