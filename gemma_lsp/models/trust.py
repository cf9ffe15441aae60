"""Whether a model's findings are worth showing: as it was measured on this machine, else by its size.

`gemma-lsp bench review --keep` writes a measurement down by the model file's digest, in the user's state directory.
A record that is missing or damaged is none. Reads small pieces of files; any thread.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from gemma_lsp.base.digest import digest_bytes
from gemma_lsp.base.errors import ModelError
from gemma_lsp.models.gguf import read_gguf
from gemma_lsp.models.splits import parts_of

LEAST_PARAMETERS = 3_000_000_000
"""Of a model that nobody measured; guessed. Models of half a billion parameters copy what they see, bugs and all."""

_HEAD = 1 << 20
_HOW = "gemma-lsp bench review --tasks FILE --stdlib --keep"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What `bench review` found. `threshold` is the least confidence, in per cent, that does; None where none does."""

    threshold: int | None
    precision: float
    recall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether findings are shown where the settings leave it open, from which confidence on, and why."""

    reviews: bool
    least: int = 0
    why: str = ""
    small: bool = False  # so few parameters that it copies the code that it sees


UNKNOWN = Trust(reviews=True)
"""Of a model without a file: an engine of another kind, or a test."""


def trust_in(model: Path, records: Path | None = None) -> Trust:
    """What is known of the model in this file."""
    try:
        digest = digest_of(model)
        n_parameters = parameters_of(model)
    except (OSError, ModelError):
        return UNKNOWN
    measured = _read(records or records_file()).get(digest)
    return judged(measured, n_parameters)


def judged(measured: Measured | None, n_parameters: int) -> Trust:
    """The verdict, in words that say what to do."""
    small = n_parameters < LEAST_PARAMETERS
    if measured is not None:
        numbers = f"precision {measured.precision:.0%} at recall {measured.recall:.0%}"
        if measured.threshold is not None:
            why = f"measured here: {numbers} from confidence {measured.threshold} on"
            return Trust(reviews=True, least=measured.threshold, why=why, small=small)
        why = f"measured here: {numbers} at best, and 50% at 10% are wanted"
        return Trust(reviews=False, why=why, small=small)
    size = f"{n_parameters / 1e9:.1f} billion parameters"
    if small:
        least = f"{LEAST_PARAMETERS / 1e9:.0f} billion"
        why = f"{size}, and models under {least} are not trusted unless `{_HOW}` says so"
        return Trust(reviews=False, why=why, small=True)
    return Trust(reviews=True, why=f"{size}; nobody measured this model: `{_HOW}` does")


def record(model: Path, measured: Measured, records: Path | None = None) -> Path:
    """Writes a measurement down, and returns where. Raises `OSError`."""
    path = records or records_file()
    known = {**_read(path), digest_of(model): measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    beside.write_text(json.dumps({key: asdict(value) for key, value in known.items()}, indent=1), encoding="utf-8")
    beside.replace(path)
    return path


def records_file() -> Path:
    """Where measurements are kept."""
    return Path(platformdirs.user_state_dir("gemma-lsp", appauthor=False)) / "reviews.json"


def digest_of(model: Path) -> str:
    """Tells model files apart by their head and size: weights of many gigabytes are not read. Raises `OSError`."""
    with model.open("rb") as file:
        return digest_bytes(file.read(_HEAD) + str(model.stat().st_size).encode())


def parameters_of(model: Path) -> int:
    """How many weights a model has, all parts of a split one together. Raises `ModelError`."""
    headers = (read_gguf(part) for part in parts_of(model))
    return sum(math.prod(tensor.dims) for header in headers for tensor in header.tensors)


def _read(path: Path) -> dict[str, Measured]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): Measured(**value) for key, value in raw.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s is of no use and is ignored: %s", path, error)
        return {}
