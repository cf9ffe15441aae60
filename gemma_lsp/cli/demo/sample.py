"""What the demo works on: a copy of fixtures/parcels, a file that is being written, an edit, a planted bug."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import gemma_lsp
from gemma_lsp.base.errors import ConfigError

_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".*", "*.sqlite3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A new file that a user writes: `typed` ends at the cursor."""

    path: str
    typed: str

    @property
    def position(self) -> dict[str, int]:
        """The cursor as the protocol counts (the text is ASCII)."""
        return {"line": self.typed.count("\n"), "character": len(self.typed.rpartition("\n")[2])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A replacement in another file: the first `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One line with a planted bug."""

    path: str
    line_text: str
    what: str


# Chosen by trial: Gemma 3 270M completes VALID_DAYS, and LIFETIME_DAYS after the edit.
SPOT = Spot(
    path="parcels/checks.py",
    typed='"""Checks before shipping."""\n\nfrom parcels import settings\n\n\n'
    "def is_expired(age_days: int) -> bool:\n"
    '    """Whether a quote is too old to use."""\n'
    "    return age_days > settings.QUOTE_",
)
EDIT = Edit(path="parcels/settings.py", old="QUOTE_VALID_DAYS", new="QUOTE_LIFETIME_DAYS")
BUG_PATH = "parcels/tariffs.py"


def fixtures() -> Path:
    """The folder of the repository that holds the sample. Raises `ConfigError` for an installed package without it."""
    folder = Path(gemma_lsp.__file__).parents[1] / "fixtures"
    if not (folder / "parcels").is_dir():
        raise ConfigError("the demo's sample is not part of the installed package; clone the repository, run make demo")
    return folder


def copy_sample(target: Path) -> Path:
    """The sample's root in `target`."""
    root = target / "parcels"
    shutil.copytree(fixtures() / "parcels", root, ignore=_NOT_COPIED)
    return root


def planted_bug() -> Bug:
    """The bug that is explained."""
    bugs = json.loads((fixtures() / "parcels.bugs.json").read_text("utf-8"))
    bug = next(bug for bug in bugs if bug["path"] == BUG_PATH)
    return Bug(path=bug["path"], line_text=bug["line_text"], what=bug["what"])


def find(text: str, wanted: str) -> tuple[dict[str, int], dict[str, int]]:
    """Start and end of the first `wanted` in ASCII `text`, as the protocol counts."""
    at = text.index(wanted)
    line, column = text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1)
    return {"line": line, "character": column}, {"line": line, "character": column + len(wanted)}
