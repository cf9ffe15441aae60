"""A tiny deterministic model: it goes on as the prompt, or what was learned, went on where it last read like this.

Its completions depend on what stands in the prompt, in which order, and on every stop and filter, so a table of them
shows what a change does without a real model.
"""

from __future__ import annotations

from tests.support.scripted import Asked

LONGEST = 80  # characters of the prompt's end that it looks for
LEAST = 3
SAID = 400


def copied(asked: Asked) -> str:
    """What followed the latest other occurrence of the longest end of the text before the cursor."""
    corpus, end = asked.remembered + asked.text, _before_cursor(asked)
    for n in range(min(LONGEST, len(end) - 1), LEAST - 1, -1):
        wanted = end[-n:]
        at = corpus.rfind(wanted, 0, len(corpus) - 1)
        while at >= 0 and not corpus[at + n : at + n + 1].strip("<\n"):  # the cursor itself, or a line's end
            at = corpus.rfind(wanted, 0, at + n - 1)
        if at >= 0 and wanted.strip():
            return corpus[at + n : at + n + SAID]
    return ""


def _before_cursor(asked: Asked) -> str:
    """The end of the prompt; of one that tells the suffix between, what stands before the suffix and behind it."""
    parts = asked.prompt
    marks = [i for i, part in enumerate(parts) if part.special and "fim_" in part.text]
    if len(marks) != 3:
        return asked.text
    prefix, suffix, middle = marks
    return "".join(part.text for part in (*parts[prefix + 1 : suffix], *parts[middle + 1 :]))
