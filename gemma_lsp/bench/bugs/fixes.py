"""Bugs that somebody really fixed: a commit's change of one definition, as a task at the commit's parent. Runs git.

The definition is the one that holds most of the changed lines outside of tests; what upstream wrote there is the
answer. Its tests are those that the commit changed; they tell something only if they fail before it and pass after it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gemma_lsp.bench.bugs.tasks import TasksError, changed_lines
from gemma_lsp.bench.child import Limits, run_python
from gemma_lsp.bench.history import check_out, read_history
from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.features.actions.surroundings import definition_at
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import SymbolKind
from gemma_lsp.text import Span, Text

LIMITS = Limits(wall_s=120.0, cpu_s=100, memory_mb=4096, processes=True)
_RUN = (
    "import os, sys\n"
    "root = os.getcwd()\n"
    "sys.path[:0] = [os.path.join(root, 'src'), root]\n"
    "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'\n"
    "import pytest\n"
    "code = pytest.main(['-q', '-x', '-p', 'no:cacheprovider', '-o', 'addopts=', *{tests!r}])\n"
    "assert code == 0, code\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFix:
    """One fix. `span` holds the `changed` lines (from 0) of `symbol`; `files` are as they were before it."""

    repo: Path
    sha: str
    title: str
    path: str
    symbol: str
    span: Span
    changed: frozenset[int]
    files: dict[str, Text]
    upstream: Text
    tests: tuple[str, ...]

    @property
    def id(self) -> str:
        """In a report."""
        return f"{self.repo.name} {self.sha[:12]}"


def read_fix(repo: Path, rev: str) -> RealFix:
    """The fix that a commit is. Raises `HistoryError`, and `TasksError` where it changes no definition."""
    history = read_history(repo, rev=f"{rev}^..{rev}", steps=1)
    if not history.commits:
        raise TasksError(f"{rev} of {repo.name} changes no Python file; choose another --rev")
    (commit,) = history.commits
    after = {hunk.path: hunk.text for hunk in commit.hunks}
    places: Counter[tuple[str, str]] = Counter()
    lines: dict[tuple[str, str], set[int]] = {}
    for path, new in after.items():
        old = history.files.get(path)
        if old is None or new is None or _is_test(path):
            continue
        parsed = parse(path, old)
        for n in changed_lines(old.content.split("\n"), new.content.split("\n")):
            around = definition_at(parsed, old.line_span(n))
            if around is not None and around.kind is not SymbolKind.CLASS:
                places[path, around.qualified] += 1
                lines.setdefault((path, around.qualified), set()).add(n)
    if not places:
        raise TasksError(f"{rev} of {repo.name} changes no function outside of tests; choose another --rev")
    (path, symbol), _ = places.most_common(1)[0]
    changed, text, upstream = lines[path, symbol], history.files[path], after[path]
    assert upstream is not None
    return RealFix(
        repo=repo.resolve(),
        sha=commit.sha,
        title=commit.title,
        path=path,
        symbol=symbol,
        span=Span(text.line_span(min(changed)).start, text.line_span(max(changed)).end),
        changed=frozenset(changed),
        files=dict(history.files),
        upstream=upstream,
        tests=tuple(p for p, text in after.items() if text is not None and is_test_file(p)),
    )


def tells(fix: RealFix) -> bool:
    """Whether the commit's own tests fail without its change of this file and pass with it."""
    return bool(fix.tests) and not passes(fix, fix.files[fix.path]) and passes(fix, fix.upstream)


def passes(fix: RealFix, text: Text) -> bool:
    """Whether the commit's tests pass with the file like this and everything else as the commit left it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        check_out(fix.repo, fix.sha, folder)
        (folder / fix.path).write_text(text.content, encoding="utf-8")
        return run_python(_RUN.format(tests=list(fix.tests)), LIMITS, folder).done


def _is_test(path: str) -> bool:
    return is_test_file(path) or any(part in ("tests", "testing", "test") for part in path.split("/")[:-1])
