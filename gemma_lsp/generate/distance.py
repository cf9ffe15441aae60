"""How far two texts are from each other. Pure; any thread."""

from __future__ import annotations


def distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and replacements of one character each."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above = row
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
    return row[-1]
