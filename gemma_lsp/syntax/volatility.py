"""How often each file changes, by git's history. Runs git, so it blocks: call it from a worker thread."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_COMMITS = 1_000
_HALF_LIFE = 100  # commits after which one counts half (guessed)
_MARK = "\x01"


def commit_shares(root: Path, *, timeout_s: float = 10.0) -> dict[str, float]:
    """The share of recent commits that touch each file, 0 to 1, recent ones weighing more; by path under `root`.

    {} where there is no git, no repository or no answer in time. Nothing the repository configures is run.
    """
    output = _git_log(root, timeout_s)
    commits = [entry.split("\n") for entry in output.split(_MARK)[1:]]
    shares: dict[str, float] = {}
    total = 0.0
    for age, lines in enumerate(commits):
        weight = 0.5 ** (age / _HALF_LIFE)
        total += weight
        for path in {line for line in lines if line and not line.startswith('"')}:
            shares[path] = shares.get(path, 0.0) + weight
    return {path: share / total for path, share in shares.items()}


def _git_log(root: Path, timeout_s: float) -> str:
    settings = ["-c", "core.quotePath=false", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false"]
    log = ["log", f"--max-count={_COMMITS}", "--no-merges", "--no-renames", "--name-only", "--relative"]
    shape = [f"--format=format:{_MARK}", "--no-show-signature", "--", "."]
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "--no-pager", *settings, *log, *shape],
            cwd=root,
            env={**{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}, **quiet},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
