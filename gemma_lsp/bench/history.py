"""A repository's git history as editing: the files before the first commit, then every hunk as one edit.

Only Python files move; everything else stays as it was at the start. Runs git, so it blocks: any worker thread.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace.kinds import is_wanted, never_file, never_folder, unfit_content

TIMEOUT_S = 60.0
MAX_FILE_BYTES = 256 * 1024
_SHARES_OVER = 300  # commits before the start whose files count as volatile; guessed
_MARK = "\x01"
_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


class HistoryError(GemmaLspError):
    """There is no history to replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One edit. `text` is the whole file afterwards (None: it is gone), `span` where `inserted` stands in it."""

    path: str
    text: Text | None
    span: Span
    inserted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one commit did to Python files, in file order, then from top to bottom."""

    sha: str
    title: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`files` and `volatility` (share of earlier commits that touch a path) are as of `start`, before `commits`."""

    name: str
    start: str
    end: str
    files: Mapping[str, Text]
    volatility: Mapping[str, float]
    commits: tuple[Commit, ...]


def read_history(repo: Path, *, rev: str = "", steps: int = 20) -> History:
    """The first `steps` commits of the range `rev` that change Python, or the last ones of all. Along first parents.

    Raises `HistoryError` where there is no such history.
    """
    git = _Git(repo)
    wanted = ["--first-parent", "--min-parents=1", rev or "HEAD", "--", "*.py"]
    shas = git.lines("rev-list", *([] if rev else [f"--max-count={steps}"]), *wanted)
    chosen = shas[::-1][:steps]
    if not chosen:
        raise HistoryError(f"no commit of {rev or 'HEAD'} changes Python files; name a range with --rev A..B")
    start = git.lines("rev-parse", f"{chosen[0]}^")[0]
    files = _files_at(git, start)
    now = dict(files)
    commits = []
    for sha in chosen:
        commit = _commit(git, sha, now)
        now = _after(now, commit.hunks)
        commits.append(commit)
    return History(
        name=repo.resolve().name,
        start=start,
        end=chosen[-1],
        files=files,
        volatility=_shares(git, start),
        commits=tuple(c for c in commits if c.hunks),
    )


def check_out(repo: Path, rev: str, folder: Path) -> None:
    """Writes every file of a revision into a folder; the repository stays as it is. Raises `HistoryError`."""
    with tarfile.open(fileobj=io.BytesIO(_Git(repo).raw("archive", "--format=tar", rev))) as archive:
        archive.extractall(folder, filter="data")


def _commit(git: _Git, sha: str, now: Mapping[str, Text]) -> Commit:
    hunks: list[Hunk] = []
    names = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", f"{sha}^", sha, "--", "*.py"]
    for path in sorted(filter(None, git.text(*names).split("\0"))):
        old = now.get(path)
        new = _content(git.blob(sha, path), path)
        if old != new:
            hunks += _hunks(git, sha, path, old, new)
    return Commit(sha=sha, title=git.text("log", "-1", "--format=%s", sha).strip(), hunks=tuple(hunks))


def _hunks(git: _Git, sha: str, path: str, old: Text | None, new: Text | None) -> list[Hunk]:
    """A file's way from `old` to `new`; one edit of the whole file where git's line numbers do not lead there."""
    if new is None:
        return [Hunk(path=path, text=None, span=Span(0, 0), inserted="")]
    whole = [Hunk(path=path, text=new, span=Span(0, len(new.content)), inserted=new.content)]
    if old is None:
        return whole
    flags = ["--no-renames", "--no-color", "--no-ext-diff", "--no-textconv"]
    diff = git.text("diff", "-U0", *flags, f"{sha}^", sha, "--", path)
    lines, goal, found = _lines(old.content), _lines(new.content), []
    for n_old, first, n_new in _HUNK.findall(diff):
        # Lines above this hunk read as in `new` already, so its place is counted there.
        fresh = int(n_new or 1)
        at = int(first) - (1 if fresh else 0)
        inserted = "".join(goal[at : at + fresh])
        lines[at : at + int(n_old or 1)] = goal[at : at + fresh]
        start = sum(map(len, lines[:at]))
        span = Span(start, start + len(inserted))
        found.append(Hunk(path=path, text=Text("".join(lines)), span=span, inserted=inserted))
    return found if found and found[-1].text == new else whole


def _lines(content: str) -> list[str]:
    """Lines with their ends, as git counts them."""
    lines = [line + "\n" for line in content.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _after(files: Mapping[str, Text], hunks: Sequence[Hunk]) -> dict[str, Text]:
    now = dict(files)
    for hunk in hunks:
        if hunk.text is None:
            now.pop(hunk.path, None)
        else:
            now[hunk.path] = hunk.text
    return now


def _files_at(git: _Git, rev: str) -> dict[str, Text]:
    """What the scan of a checkout would have found, but for the repository's own ignore files."""
    files = {}
    for path in filter(None, git.text("ls-tree", "-r", "-z", "--name-only", rev).split("\0")):
        if is_wanted(path) and (text := _content(git.blob(rev, path), path)) is not None:
            files[path] = text
    return files


def _content(raw: bytes | None, path: str) -> Text | None:
    """A blob as the index takes it; None for what it leaves out."""
    folders = path.split("/")[:-1]
    hidden = any(never_folder("/".join(folders[: n + 1])) for n in range(len(folders)))
    if raw is None or hidden or never_file(path) or len(raw) > MAX_FILE_BYTES or b"\0" in raw:
        return None
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return Text.normalised(content) if unfit_content(content) is None else None


def _shares(git: _Git, rev: str) -> dict[str, float]:
    flags = ["-z", f"--max-count={_SHARES_OVER}", "--no-merges", "--no-renames", "--name-only"]
    entries = git.text("log", *flags, f"--format=format:{_MARK}", rev).split(_MARK)[1:]
    counts: dict[str, int] = {}
    for entry in entries:
        for path in {name.strip("\n") for name in entry.split("\0")} - {""}:
            counts[path] = counts.get(path, 0) + 1
    return {path: n / len(entries) for path, n in counts.items()}


class _Git:
    """git in one repository. Nothing that the repository configures is run, and every call ends in time."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
        self._env = {**{k: v for k, v in os.environ.items() if not k.startswith("GIT_")}, **quiet}
        # From inside the git directory every path counts from the top, and a bare repository is one too.
        self._repo = Path(self.text("rev-parse", "--absolute-git-dir").rstrip("\n"))

    def text(self, *args: str) -> str:
        """What a command prints. Raises `HistoryError`."""
        return self.raw(*args).decode("utf-8", "replace")

    def raw(self, *args: str) -> bytes:
        """The same as it is."""
        done = self._run(args)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise HistoryError(f"git {args[0]} failed in {self._repo}: {reason}; give --repo and --rev A..B")
        return done.stdout

    def lines(self, *args: str) -> list[str]:
        """The same by lines."""
        return self.text(*args).split()

    def blob(self, rev: str, path: str) -> bytes | None:
        """A file's bytes at a revision; None where it is not."""
        done = self._run(["cat-file", "blob", f"{rev}:{path}"])
        return None if done.returncode else done.stdout

    def _run(self, args: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        settings = ["-c", "core.quotePath=false", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false"]
        try:
            return subprocess.run(
                ["git", "--no-pager", *settings, *args],
                cwd=self._repo,
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise HistoryError(f"git cannot be run in {self._repo}: {error}; install git") from error
