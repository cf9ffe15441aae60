"""Makes a git repository out of fixtures/parcels: ten small commits as people write them, for `gemma-lsp bench replay`.

usage: python docs/benchmarks/parcels_history.py FOLDER [FILE ...]

With files (parcels/units.py ...) the repository has only those, and only the commits that change nothing else.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures"
BUGS = {bug["path"]: bug for bug in json.loads((FIXTURES / "parcels.bugs.json").read_text(encoding="utf-8"))}
UNITS = ("parcels/units.py", "parcels/parcel.py", "parcels/reporting.py", "tests/test_shipping.py")

Change = tuple[str, str, str]  # path, old text, new text; an empty old text appends


def fix(path: str) -> Change:
    """The repair of a planted bug."""
    return path, BUGS[path]["line_text"], BUGS[path]["fixed_line_text"]


COMMITS: tuple[tuple[str, tuple[Change, ...]], ...] = (
    ("The height of a box counts", (fix("parcels/parcel.py"),)),
    (
        "Quotes are valid for three weeks",
        (
            ("parcels/settings.py", "QUOTE_VALID_DAYS = 14", "QUOTE_VALID_DAYS = 21"),
            (
                "tests/test_settings.py",
                "",
                "\n\ndef test_quotes_are_valid_for_three_weeks():\n    assert settings.QUOTE_VALID_DAYS == 21\n",
            ),
        ),
    ),
    (
        "A weight on the limit belongs to the tier, whose function has a shorter name",
        (
            fix("parcels/tariffs.py"),
            ("parcels/tariffs.py", "def find_tier(", "def tier_for("),
            ("parcels/tariffs.py", "return find_tier(", "return tier_for("),
        ),
    ),
    ("The fuel surcharge keeps its cents", (fix("parcels/surcharges.py"),)),
    ("Weights are written by weight_text", tuple((path, "format_weight", "weight_text") for path in UNITS)),
    (
        "A fee for delivery at the weekend",
        (
            (
                "parcels/settings.py",
                "OVERSIZE_FEE_CENTS = 1200\n",
                "OVERSIZE_FEE_CENTS = 1200\nWEEKEND_FEE_CENTS = 430\n",
            ),
            (
                "parcels/surcharges.py",
                "def surcharges_for(",
                "def weekend_surcharge(day: date) -> Surcharge | None:\n"
                '    """A fixed fee for delivery on Saturday and Sunday."""\n'
                "    if day.weekday() >= 5:\n"
                '        return Surcharge("weekend", Money(settings.WEEKEND_FEE_CENTS))\n'
                "    return None\n\n\ndef surcharges_for(",
            ),
            ("parcels/surcharges.py", "import dataclass\n", "import dataclass\nfrom datetime import date\n"),
            (
                "tests/test_settings.py",
                "",
                "\n\ndef test_weekend_fee():\n    assert settings.WEEKEND_FEE_CENTS == 430\n",
            ),
        ),
    ),
    ("A pickup on the same day is for the morning", (fix("parcels/pickup.py"),)),
    (
        "Labels show the short form of the tracking number",
        (
            (
                "parcels/tracking.py",
                "def group_digits(",
                'def short_form(number: TrackingNumber) -> str:\n    """The service and the last four digits."""\n'
                '    return f"{number.service}~{number.serial % 10_000:04d}"\n\n\ndef group_digits(',
            ),
            ("parcels/labels.py", "TrackingNumber, group_digits", "TrackingNumber, group_digits, short_form"),
            (
                "parcels/labels.py",
                "        if self.parcel.reference:\n",
                '        rows.append(f"No. {short_form(self.tracking)}")\n        if self.parcel.reference:\n',
            ),
        ),
    ),
    (
        "Tram Lines delivers too",
        (
            (
                "parcels/carriers.py",
                '    Carrier(\n        code="snail"',
                '    Carrier(\n        code="tram",\n        name="Tram Lines",\n        tariff=ECONOMY,\n'
                '        service_prefix="TT",\n        transit_days={Zone.DOMESTIC: 3},\n    ),\n'
                '    Carrier(\n        code="snail"',
            ),
            (
                "tests/test_shipping.py",
                "",
                '\n\ndef test_tram_lines():\n    assert get_carrier("tram").name == "Tram Lines"\n'
                '    assert get_carrier("tram").service_prefix == "TT"\n',
            ),
        ),
    ),
    ("Each bus has its own history", (fix("parcels/events.py"),)),
)


def make(folder: Path, only: Sequence[str] = ()) -> None:
    """Writes the repository; the folder must not exist."""
    if only:
        for path in only:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(FIXTURES / "parcels" / path, folder / path)
    else:
        shutil.copytree(FIXTURES / "parcels", folder)
    _git(folder, "init", "-q")
    _commit(folder, "Parcels")
    for title, changes in COMMITS:
        if only and not {path for path, _, _ in changes} <= set(only):
            continue
        for path, old, new in changes:
            _change(folder / path, old, new)
        _commit(folder, title)


def _change(file: Path, old: str, new: str) -> None:
    content = file.read_text(encoding="utf-8")
    if old and old not in content:
        raise SystemExit(f"{file} does not hold {old!r}: the fixture has changed; change this history too")
    file.write_text(content.replace(old, new) if old else content + new, encoding="utf-8")


def _commit(folder: Path, title: str) -> None:
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", title)


def _git(folder: Path, *args: str) -> None:
    settings = ["user.name=bench", "user.email=bench@example.org", "commit.gpgsign=false"]
    command = ["git", *(word for setting in settings for word in ("-c", setting)), *args]
    subprocess.run(command, cwd=folder, check=True, timeout=60)


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2:])
