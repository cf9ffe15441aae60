"""Which file an import means. Pure, by paths alone: nothing is executed and no environment is asked."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from posixpath import dirname

from gemma_lsp.syntax.types import Import


class ModuleMap:
    """The Python files of a workspace by the dotted names under which they can be imported."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = frozenset(path for path in paths if path.endswith((".py", ".pyi")))

    @cached_property
    def source_roots(self) -> tuple[str, ...]:
        """Folders whose modules import by their plain name: the root, `src`, then others, shallow ones first."""
        folders = {dirname(path) for path in self._paths}
        packages = {dirname(path) for path in self._paths if path.endswith(("/__init__.py", "/__init__.pyi"))}
        roots = {dirname(folder) for folder in packages} | folders
        others = sorted(roots - packages - {"", "src"}, key=lambda folder: (folder.count("/"), folder))
        return ("", "src", *others)

    def targets(self, path: str, imported: Import) -> tuple[str, ...]:
        """The files that an import in `path` reads: submodules named by it, and its module for the other names."""
        level = len(imported.module) - len(imported.module.lstrip("."))
        parts = [part for part in imported.module[level:].split(".") if part]
        for folder in self._folders(path, level):
            base = "/".join([*([folder] if folder else []), *parts])
            found = self._targets_under(base, imported.names)
            if found:
                return found
        return ()

    def _folders(self, path: str, level: int) -> tuple[str, ...]:
        if level == 0:
            return (*self.source_roots, dirname(path))
        folder = dirname(path)
        for _ in range(level - 1):
            if not folder:
                return ()
            folder = dirname(folder)
        return (folder,)

    def _targets_under(self, base: str, names: tuple[str, ...]) -> tuple[str, ...]:
        module = self._file(base)
        submodules = [self._file(f"{base}/{name}" if base else name) for name in names]
        wanted = [target for target in submodules if target is not None]
        if module is not None and (not names or len(wanted) < len(names)):
            wanted.append(module)
        return tuple(dict.fromkeys(wanted))

    def _file(self, base: str) -> str | None:
        prefix = f"{base}/" if base else ""
        candidates = [f"{base}.py", f"{prefix}__init__.py", f"{base}.pyi", f"{prefix}__init__.pyi"]
        return next((candidate for candidate in candidates if candidate in self._paths), None)
