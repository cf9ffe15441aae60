"""Everything the product asks about a repository's code, at one revision. Immutable; any thread may read it.

What it deliberately does not know: tokens, budgets and forms; those are the prompt's.
Tables are made when first asked for: patched out of those of the last index that had any, which may be many edits back.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import cast

from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.syntax.modules import ModuleMap
from gemma_lsp.syntax.parse import language_of, parse, prose
from gemma_lsp.syntax.readers import read_all
from gemma_lsp.syntax.references import References, names_and_counts
from gemma_lsp.syntax.types import Import, ParsedFile, Reference, Symbol
from gemma_lsp.syntax.whole import file_of
from gemma_lsp.text import Text
from gemma_lsp.workspace.patched import differing, patched
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

Definitions = dict[str, tuple[tuple[str, Symbol], ...]]
Users = dict[str, frozenset[str]]

_NOTHING: Mapping[str, ParsedFile] = MappingProxyType({})


@dataclass(frozen=True)
class Index:
    """The parsed files of one snapshot. Invariant: same paths as the snapshot, each parsed from its very text."""

    snapshot: WorkspaceSnapshot
    files: Mapping[str, ParsedFile]
    _before: tuple[Index, frozenset[str]] | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> Collection[str]:
        """Every plain name that is defined somewhere."""
        return self._definitions.keys()

    def definitions(self, name: str) -> tuple[tuple[str, Symbol], ...]:
        """Where a plain name is defined: (path, symbol), ordered by path, then by place."""
        return self._definitions.get(name, ())

    def references(self, name: str) -> tuple[tuple[str, Reference], ...]:
        """Where a plain name is used: (path, reference), ordered by path, then by place."""
        paths = sorted(self._users.get(name, ()))
        return tuple((path, used) for path in paths for used in _named(self.files[path], name))

    def users(self, name: str) -> frozenset[str]:
        """The files that use a plain name."""
        return self._users.get(name, frozenset())

    def call_sites(self, name: str) -> tuple[tuple[str, Reference], ...]:
        """Where a plain name is called: those of its references that are calls."""
        return tuple((path, used) for path, used in self.references(name) if used.is_call)

    def resolve_import(self, path: str, imported: Import) -> str | None:
        """The workspace file that an import in `path` means, or None for one outside the workspace."""
        targets = self._modules.targets(path, imported)
        return targets[0] if targets else None

    def import_targets(self, path: str, imported: Import) -> tuple[str, ...]:
        """All workspace files that an import reads: `from pkg import a, b` may name several modules."""
        return self._modules.targets(path, imported)

    @cached_property
    def imports(self) -> Mapping[str, tuple[str, ...]]:
        """The workspace files that each file imports, in the order of its imports, itself left out."""
        if (known := self._inherited("imports")) is not None:
            return cast(Mapping[str, tuple[str, ...]], known)
        return {path: self._imports_of(path, parsed) for path, parsed in self.files.items()}

    @cached_property
    def importers(self) -> Mapping[str, tuple[str, ...]]:
        """The files that import each file, by path; a file that nobody imports is missing."""
        if (known := self._inherited("importers")) is not None:
            return cast(Mapping[str, tuple[str, ...]], known)
        found: dict[str, list[str]] = {}
        for path in sorted(self.imports):
            for target in self.imports[path]:
                found.setdefault(target, []).append(path)
        return {target: tuple(paths) for target, paths in found.items()}

    def with_changes(self, snapshot: WorkspaceSnapshot, parsed: Mapping[str, ParsedFile] = _NOTHING) -> Index:
        """The index of a later snapshot: parses what differs, unless `parsed` holds it (an open file's tree)."""
        changed = differing(self.snapshot.files, snapshot.files)
        fresh = {path: self._parsed(path, snapshot.files[path], parsed) for path in changed if path in snapshot.files}
        files = patched(self.files, fresh) if len(fresh) == len(changed) else None
        if files is None:
            known = {**self.files, **fresh}
            files = MappingProxyType({path: known[path] for path in snapshot.files})
        before = self._before  # which another thread may let go of
        origin, earlier = (self, frozenset[str]()) if before is None else before
        return Index(snapshot, files, (origin, earlier | changed))

    def _parsed(self, path: str, text: Text, parsed: Mapping[str, ParsedFile]) -> ParsedFile:
        """What is known of the same text, or else a fresh parse."""
        known = parsed.get(path) or self.files.get(path)
        return known if known is not None and known.path == path and known.text == text else parse(path, text)

    def _inherited(self, name: str) -> object:
        """One of the tables of the index that this one came from, or None. All are patched at once, and that index is
        let go.
        """
        before, made = self._before, self.__dict__
        if before is None:
            return made.get(name)
        origin, changed = before
        made["_before"] = None  # at once: patching one table may ask for another
        known = origin.__dict__
        if "_definitions" in known:
            made["_definitions"] = _patched_definitions(origin, self, changed)
        if "_users" in known:
            made["_users"] = _patched_users(origin, self, changed)
        if origin.files.keys() == self.files.keys():
            if "_modules" in known:
                made["_modules"] = origin._modules
            if "imports" in known:
                fresh = {path: self._imports_of(path, self.files[path]) for path in changed & self.files.keys()}
                made["imports"] = {**origin.imports, **fresh}
                if "importers" in known and all(origin.imports[path] == targets for path, targets in fresh.items()):
                    made["importers"] = origin.importers
        return made.get(name)

    @cached_property
    def _definitions(self) -> Definitions:
        if (known := self._inherited("_definitions")) is not None:
            return cast(Definitions, known)
        return _definitions_of(self, sorted(self.files))

    @cached_property
    def _users(self) -> Users:
        if (known := self._inherited("_users")) is not None:
            return cast(Users, known)
        users: dict[str, set[str]] = {}
        for path, parsed in self.files.items():
            for name in names_and_counts(parsed.references):
                users.setdefault(name, set()).add(path)
        return {name: frozenset(paths) for name, paths in users.items()}

    @cached_property
    def _modules(self) -> ModuleMap:
        if (known := self._inherited("_modules")) is not None:
            return cast(ModuleMap, known)
        return ModuleMap(self.files.keys())

    def _imports_of(self, path: str, parsed: ParsedFile) -> tuple[str, ...]:
        targets = [target for imported in parsed.imports for target in self._modules.targets(path, imported)]
        return tuple(target for target in dict.fromkeys(targets) if target != path)


def build(
    snapshot: WorkspaceSnapshot,
    *,
    cancel: CancelToken | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    helpers: int | None = None,
    known: Index | None = None,
) -> Index:
    """Parses every file of a snapshot; `on_progress` hears files done and files in all.

    A file that reads as in the index `known` is not parsed again and keeps its very `ParsedFile`.
    Processes beside this one help where there is much to read (`readers`), or as many as `helpers` says.
    Takes about a second for 3 MB on two cores.
    Cancel points: before each file; raises `Cancelled` there.
    """
    old = known.files if known is not None else _NOTHING
    kept = {path: parsed for path, parsed in old.items() if parsed.text == snapshot.files.get(path)}
    fresh = {path: text for path, text in snapshot.files.items() if path not in kept}
    files = {path: prose(path, text) for path, text in fresh.items() if language_of(path) != "python"}
    code = {path: text for path, text in fresh.items() if path not in files}
    with _without_collection(), closing(read_all(code, helpers)) as found:
        for path, pieces in found:
            if cancel is not None:
                cancel.check()
            if on_progress is not None:
                on_progress(len(kept) + len(files), len(snapshot.files))
            files[path] = file_of(path, code[path], pieces)
    if on_progress is not None:
        on_progress(len(snapshot.files), len(snapshot.files))
    if known is not None and kept:
        return known.with_changes(snapshot, files)
    return Index(snapshot, MappingProxyType({path: files[path] for path in snapshot.files}))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Parsing makes many objects and no cycles: looking for some again and again would cost a seventh of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _named(parsed: ParsedFile, name: str) -> Iterable[Reference]:
    if isinstance(parsed.references, References):
        return parsed.references.named(name)
    return (used for used in parsed.references if used.name == name)


def _definitions_of(index: Index, paths: Iterable[str]) -> Definitions:
    found: dict[str, list[tuple[str, Symbol]]] = {}
    for path in paths:
        for symbol in index.files[path].symbols:
            found.setdefault(symbol.name, []).append((path, symbol))
    return {name: tuple(places) for name, places in found.items()}


def _patched_definitions(before: Index, after: Index, changed: AbstractSet[str]) -> Definitions:
    table = dict(before._definitions)
    old = {symbol.name for path in changed if path in before.files for symbol in before.files[path].symbols}
    new = _definitions_of(after, sorted(changed & after.files.keys()))
    for name in old | new.keys():
        kept = [place for place in table.get(name, ()) if place[0] not in changed]
        places = sorted([*kept, *new.get(name, ())], key=lambda place: (place[0], place[1].span))
        table[name] = tuple(places)
        if not places:
            del table[name]
    return table


def _patched_users(before: Index, after: Index, changed: AbstractSet[str]) -> Users:
    table = dict(before._users)
    for path in changed:
        old = set(names_and_counts(before.files[path].references)) if path in before.files else set()
        new = set(names_and_counts(after.files[path].references)) if path in after.files else set()
        for name in old - new:
            table[name] = table[name] - {path}
            if not table[name]:
                del table[name]
        for name in new - old:
            table[name] = table.get(name, frozenset()) | {path}
    return table
