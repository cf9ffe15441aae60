"""Noticing that a text goes round in circles, and cutting it where it began to. Pure."""

from __future__ import annotations

LONGEST = 200  # characters of one round
_LEAST = 24  # characters in all that the rounds must fill: "...." is no loop yet


def loop_size(text: str) -> int:
    """Length of what the end of the text repeats at least three times, or 0."""
    for size in range(1, min(LONGEST, len(text) // 3) + 1):
        unit = text[-size:]
        if unit.strip() and text.endswith(unit * max(3, -(-_LEAST // size))):
            return size
    return 0


def goes_round(text: str) -> bool:
    """Whether nothing more is to be expected of the text: for `GenerateOptions.enough`."""
    return loop_size(text) > 0


def without_loop(text: str) -> str:
    """The text with one round left of what its end repeats, cut after a sentence if that round has one."""
    size = loop_size(text)
    if not size:
        return text
    unit, end = text[-size:], len(text)
    while text.endswith(unit, 0, end - size):
        end -= size
    sentence = max(text.rfind(c, end - size, end) for c in ".!?\n")
    return text[: sentence + 1 if sentence >= 0 else end].rstrip()
