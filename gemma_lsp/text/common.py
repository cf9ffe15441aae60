"""What two texts have in common at their ends, by halving: comparing runs of a string is a memcmp. Any thread."""

from __future__ import annotations

from collections.abc import Callable


def common_ends(before: str, after: str) -> tuple[int, int]:
    """Code points that two texts share at their start, and of what is left those that they share at their end."""
    limit = min(len(before), len(after))
    head = _most(limit, lambda low, high: before[low:high] == after[low:high])
    return head, common_suffix(before, after, limit - head)


def common_suffix(before: str, after: str, limit: int) -> int:
    """Code points, at most `limit`, that two texts share at their end."""
    b, a = len(before), len(after)
    return _most(limit, lambda low, high: before[b - high : b - low] == after[a - high : a - low])


def _most(limit: int, same: Callable[[int, int], bool]) -> int:
    """The greatest length up to a limit for which two texts agree; `same` compares from one length to another."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if same(low, middle) else (low, middle - 1)
    return low
