"""Small git histories, made for a test."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def git(root: Path, *args: str) -> None:
    """Runs git there as somebody, whoever runs the test."""
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *args], cwd=root, check=True, capture_output=True, timeout=60)


def commits(root: Path, versions: Sequence[Mapping[str, str | None]]) -> Path:
    """A repository with one commit for each of `versions`: new texts by path, None for a file that goes."""
    git(root, "init", "-q")
    for number, files in enumerate(versions):
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                target.unlink()
            else:
                target.write_bytes(content.encode())
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", f"step {number}")
    return root
