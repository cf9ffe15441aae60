"""Where the tests of a file are, or where they go, and by which name a file is imported. By paths and imports; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from posixpath import basename, dirname

from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.syntax.index import Index

_TEST_FOLDERS = frozenset({"test", "tests", "testing", "unit", "unittests"})


def path_of_tests(index: Index, path: str) -> str:
    """Where the tests of a file are, or where they go: beside the other tests, by pytest's names.

    A file of the right name is the one if it imports the module or its folders mirror the module's: many packages
    have a `utils.py`.
    """
    names = list(_names(index, path))
    wanted = {name for pair in names for name in pair}
    standing = [known for known in index.files if basename(known) in wanted and _tests(index, known, path)]
    if standing:
        return max(sorted(standing), key=lambda known: (_imports(index, known, path), _shared(known, path)))
    folder = _folder_of_tests(index, path)
    free = (_joined(folder, name) for name, _ in names if _is_free(index, _joined(folder, name)))
    return next(free, _numbered(index, _joined(folder, names[-1][0])))


def module_of(path: str, files: Collection[str] = ()) -> str:
    """The dotted name by which a file is imported: from its topmost package, or from what is in `src`."""
    *folders, name = path.removesuffix(".pyi").removesuffix(".py").split("/")
    n = len(folders)
    while n and "/".join([*folders[:n], "__init__.py"]) in files:
        n -= 1
    if n == len(folders):
        n = len(folders) - folders[::-1].index("src") if "src" in folders else 0
    parts = [*folders[n:], name]
    return ".".join(parts[:-1] if name == "__init__" and len(parts) > 1 else parts)


def _names(index: Index, path: str) -> Iterator[tuple[str, str]]:
    """pytest's names for the tests of a file: by its own name, then with more and more of the folders around it."""
    parts = module_of(path, index.files).split(".")
    stem = parts[-1].strip("_") or "init"
    for n in range(len(parts)):
        name = "_".join([*parts[len(parts) - 1 - n : -1], stem])
        yield f"test_{name}.py", f"{name}_test.py"


def _tests(index: Index, known: str, path: str) -> bool:
    """Whether a test file of the right name is about a module, and not about another one of that name."""
    if _imports(index, known, path):
        return True
    name = basename(path)
    targets = {target for i in index.files[known].imports for target in index.import_targets(known, i)}
    if name != "__init__.py" and any(basename(target) == name and target != path for target in targets):
        return False
    package = _package(index, path)
    above = _above(index, path)
    folders = [part for part in _folders(known) if part not in _TEST_FOLDERS and part != "src"]
    likely = [above + package, above + package[1:], package, package[1:], [p for p in _folders(path) if p != "src"]]
    if sum(basename(other) == name for other in index.files) == 1:
        likely += [above, []]  # no other module can be meant
    return folders in likely


def _imports(index: Index, known: str, path: str) -> bool:
    return any(path in index.import_targets(known, imported) for imported in index.files[known].imports)


def _folder_of_tests(index: Index, path: str) -> str:
    """Beside the module, where tests are; else the nearest folder of tests, and in it the module's if it has such."""
    tests = [known for known in index.files if is_test_file(known) and basename(known) != "conftest.py"]
    package, above = _package(index, path), _above(index, path)
    if not tests:
        return "/".join([*above, "tests"])
    if sum(_is_beside(index, known) for known in tests) * 2 > len(tests):
        return dirname(path)
    sources = [_package(index, known) for known in index.files if known.endswith(".py") and not is_test_file(known)]
    mirrored = {tuple(folders[k:n]) for folders in sources for k in (0, 1) for n in range(k + 1, len(folders) + 1)}
    bases: Counter[tuple[str, ...]] = Counter()
    tails: Counter[tuple[str, ...]] = Counter()  # what of the base's tests stands in folders like those of modules
    for known in tests:
        folders = tuple(_folders(known))
        n = max((k + 1 for k, part in enumerate(folders) if part in _TEST_FOLDERS), default=len(folders))
        base, tail = (folders[:n], folders[n:]) if folders[n:] in mirrored else (folders, ())
        bases[base] += 1
        tails[(*base, "/", *tail)] += 1
    base = max(sorted(bases), key=lambda base: (_shared("/".join([*base, ""]), path), bases[base]))
    flat = tails[(*base, "/")]
    if flat * 2 > bases[base]:
        return "/".join(base)
    tail, _ = next((key[len(base) + 1 :], n) for key, n in tails.most_common() if key[: len(base) + 1] == (*base, "/"))
    names_package = any(folders[:1] == list(tail[:1]) for folders in sources)
    return "/".join([*base, *(package if names_package else package[1:])])


def _is_beside(index: Index, known: str) -> bool:
    name = basename(known).removesuffix(".py")
    return _joined(dirname(known), name.removeprefix("test_").removesuffix("_test") + ".py") in index.files


def _is_free(index: Index, path: str) -> bool:
    """Whether a new test file is no other's; pytest takes two of one name for one where neither is in a package."""
    if path in index.files:
        return False
    name = basename(path)
    alone = [known for known in index.files if basename(known) == name and not _in_package(index, known)]
    return not alone or _in_package(index, path)


def _numbered(index: Index, path: str) -> str:
    stem = path.removesuffix(".py")
    return next(name for n in range(2, len(index.files) + 3) if (name := f"{stem}_{n}.py") not in index.files)


def _in_package(index: Index, path: str) -> bool:
    return _joined(dirname(path), "__init__.py") in index.files


def _package(index: Index, path: str) -> list[str]:
    """The folders that a module's dotted name tells."""
    parts = module_of(path, index.files).split(".")
    return parts[:-1]


def _above(index: Index, path: str) -> list[str]:
    """The folders above the topmost package, such as a project's in a repository of several."""
    folders = _folders(path)
    inside = len(module_of(path, index.files).split(".")) - (basename(path) != "__init__.py")
    above = folders[: len(folders) - inside]
    return above[:-1] if above[-1:] == ["src"] else above


def _folders(path: str) -> list[str]:
    return path.split("/")[:-1]


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _shared(a: str, b: str) -> int:
    """How many folders at the start of two paths are the same."""
    pairs = zip(a.split("/"), b.split("/"), strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x != y), 0)
