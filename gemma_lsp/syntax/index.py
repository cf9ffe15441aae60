"""Everything the product asks about a repository's code, at one revision. Immutable; any thread may read it.

What it deliberately does not know: tokens, budgets and forms; those are the prompt's.
Tables are made when first asked for, and patched rather than rebuilt by `with_changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.syntax.modules import ModuleMap
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.references import References, names_and_counts
from gemma_lsp.syntax.types import Import, ParsedFile, Reference, Symbol
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

Definitions = dict[str, tuple[tuple[str, Symbol], ...]]
Users = dict[str, frozenset[str]]

_NOTHING: Mapping[str, ParsedFile] = MappingProxyType({})


@dataclass(frozen=True)
class Index:
    """The parsed files of one snapshot. Invariant: same paths as the snapshot, each parsed from its very text."""

    snapshot: WorkspaceSnapshot
    files: Mapping[str, ParsedFile]

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
        return {path: self._imports_of(path, parsed) for path, parsed in self.files.items()}

    @cached_property
    def importers(self) -> Mapping[str, tuple[str, ...]]:
        """The files that import each file, by path; a file that nobody imports is missing."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.imports):
            for target in self.imports[path]:
                found.setdefault(target, []).append(path)
        return {target: tuple(paths) for target, paths in found.items()}

    def with_changes(self, snapshot: WorkspaceSnapshot, parsed: Mapping[str, ParsedFile] = _NOTHING) -> Index:
        """The index of a later snapshot: parses what differs, unless `parsed` holds it (an open file's tree)."""
        files = dict(self.files)
        changed = {path for path in files if path not in snapshot.files}
        for path in changed:
            del files[path]
        for path, text in snapshot.files.items():
            old = files.get(path)
            if old is None or old.text is not text:
                files[path] = _parsed(path, text, parsed.get(path) or old)
                changed.add(path)
        after = Index(snapshot, MappingProxyType(files))
        self._hand_down(after, changed)
        return after

    def _hand_down(self, after: Index, changed: set[str]) -> None:
        """Gives the next index the tables that exist, patched for the changed files."""
        made = self.__dict__
        if "_definitions" in made:
            after.__dict__["_definitions"] = _patched_definitions(self, after, changed)
        if "_users" in made:
            after.__dict__["_users"] = _patched_users(self, after, changed)
        if self.files.keys() != after.files.keys():
            return
        if "_modules" in made:
            after.__dict__["_modules"] = self._modules
        if "imports" in made:
            fresh = {path: after._imports_of(path, after.files[path]) for path in changed}
            after.__dict__["imports"] = {**self.imports, **fresh}
            if "importers" in made and all(self.imports[path] == fresh[path] for path in changed):
                after.__dict__["importers"] = self.importers

    @cached_property
    def _definitions(self) -> Definitions:
        return _definitions_of(self, sorted(self.files))

    @cached_property
    def _users(self) -> Users:
        users: dict[str, set[str]] = {}
        for path, parsed in self.files.items():
            for name in names_and_counts(parsed.references):
                users.setdefault(name, set()).add(path)
        return {name: frozenset(paths) for name, paths in users.items()}

    @cached_property
    def _modules(self) -> ModuleMap:
        return ModuleMap(self.files.keys())

    def _imports_of(self, path: str, parsed: ParsedFile) -> tuple[str, ...]:
        targets = [target for imported in parsed.imports for target in self._modules.targets(path, imported)]
        return tuple(target for target in dict.fromkeys(targets) if target != path)


def build(
    snapshot: WorkspaceSnapshot,
    *,
    cancel: CancelToken | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Parses every file of a snapshot; `on_progress` hears files done and files in all.

    Takes about a second for 3 MB. Cancel points: before each file; raises `Cancelled` there.
    """
    files: dict[str, ParsedFile] = {}
    for done, (path, text) in enumerate(snapshot.files.items()):
        if cancel is not None:
            cancel.check()
        if on_progress is not None:
            on_progress(done, len(snapshot.files))
        files[path] = parse(path, text)
    if on_progress is not None:
        on_progress(len(files), len(files))
    return Index(snapshot, MappingProxyType(files))


def _parsed(path: str, text: Text, known: ParsedFile | None) -> ParsedFile:
    """What is known of the same text, or else a fresh parse."""
    return known if known is not None and known.path == path and known.text == text else parse(path, text)


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


def _patched_definitions(before: Index, after: Index, changed: set[str]) -> Definitions:
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


def _patched_users(before: Index, after: Index, changed: set[str]) -> Users:
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
