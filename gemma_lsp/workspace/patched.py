"""Mappings that differ from others in few values: so many files, and a key that is typed changes one. Any thread."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
_MANY = 64  # other values, from which on all are copied


class Patched(Mapping[K, V]):
    """The keys of another mapping in their order, with other values for some. Not to be changed, as are those."""

    __slots__ = ("_base", "_other")

    def __init__(self, base: Mapping[K, V], other: Mapping[K, V]) -> None:
        self._base, self._other = base, other

    def __getitem__(self, key: K) -> V:
        return self._other[key] if key in self._other else self._base[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)

    def __contains__(self, key: object) -> bool:
        return key in self._base

    def keys(self) -> KeysView[K]:
        """The keys, as fast as the other mapping's."""
        return self._base.keys()

    @property
    def base(self) -> Mapping[K, V]:
        """The mapping that it differs from."""
        return self._base

    @property
    def other(self) -> Mapping[K, V]:
        """The values in which it differs, or did."""
        return self._other


def patched(known: Mapping[K, V], other: Mapping[K, V]) -> Mapping[K, V] | None:
    """`known` with other values for some of its keys; None where keys are new, or that many differ."""
    base, before = (known.base, known.other) if isinstance(known, Patched) else (known, {})
    together = {**before, **other}
    if len(together) > _MANY or any(key not in base for key in other):
        return None
    return Patched(base, together)


def differing(a: Mapping[K, V], b: Mapping[K, V]) -> set[K]:
    """The keys whose values are not the very same object in both, or that only one of the two has."""
    if a is b:
        return set()
    base, own = (a.base, a.other) if isinstance(a, Patched) else (a, {})
    other_base, other_own = (b.base, b.other) if isinstance(b, Patched) else (b, {})
    keys = {*own, *other_own} if base is other_base else {*a, *b}
    return {key for key in keys if a.get(key) is not b.get(key)}
