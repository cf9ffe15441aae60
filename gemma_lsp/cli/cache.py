"""`gemma-lsp cache list|clear`: the trunks kept on disk. Deleting them costs a prefill each and nothing else.

Loaded with every command, `serve` too, so what takes time to import is imported when it is needed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gemma_lsp.engine.snapshots import Header

app = typer.Typer(help="What is kept on disk so that a restart need not read the repository again.")
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the snapshots, the most recently used first."""
    from gemma_lsp.cli import console
    from gemma_lsp.engine.spec import snapshot_folder

    found = headers(snapshot_folder())
    if as_json:
        console.print_json([_to_json(header) for header in found])
        return
    rows = [(h.workspace, h.n_tokens, console.size(h.path.stat().st_size), _age(h.path)) for h in found]
    out = console.stdout()
    console.print_table(out, ("workspace", "tokens", "size", "last used"), rows, right=("tokens", "size"))
    out.print(f"{len(found)} snapshot(s) in {snapshot_folder()}")


@app.command()
def clear(
    workspace: Annotated[Path | None, typer.Argument(help="Only those of this folder.", resolve_path=True)] = None,
) -> None:
    """Delete the snapshots."""
    from gemma_lsp.cli import console
    from gemma_lsp.engine.spec import snapshot_folder

    chosen = [h for h in headers(snapshot_folder()) if workspace is None or h.workspace == str(workspace)]
    for header in chosen:
        header.path.unlink(missing_ok=True)
    console.stdout().print(f"{len(chosen)} snapshot(s) deleted")


def headers(folder: Path) -> list[Header]:
    """Every snapshot in the folder, whichever model it is of."""
    from gemma_lsp.engine.snapshots import SnapshotStore

    return SnapshotStore(folder, "", 0).headers()


def _to_json(header: Header) -> dict[str, object]:
    stat = header.path.stat()
    return {
        "path": str(header.path),
        "workspace": header.workspace,
        "tokens": header.n_tokens,
        "bytes": stat.st_size,
        "lastUsed": int(stat.st_mtime),
    }


def _age(path: Path) -> str:
    hours = (time.time() - path.stat().st_mtime) / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min ago"
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} d ago"
