"""Which files are worth the prompt, by path and by content. Pure; any thread may call it.

What is hidden by `.gitignore` is `rules`'; what is secret is `secrets`'.
"""

from __future__ import annotations

import re

from gemma_lsp.workspace.secrets import secret_in_text

VENDORED = frozenset({"vendor", "vendored", "_vendor", "_vendored", "third_party", "third-party", "thirdparty"})
DEPENDENCIES = frozenset({"venv", "virtualenv", "node_modules", "bower_components", "site-packages", "__pypackages__"})
GENERATED = frozenset({"__pycache__", "htmlcov", "_build", "_generated", "__generated__"})
BUILT_AT_TOP = frozenset({"build", "dist"})

_PYTHON = (".py", ".pyi", ".pyw")
_README = re.compile(r"readme(?:\.(?:md|rst|txt))?", re.IGNORECASE)
_AT_TOP = re.compile(
    r"(?i:makefile)|tox\.ini|pytest\.ini|mypy\.ini|requirements[^/]*\.txt|requirements/[^/]*\.txt"
    r"|[^/]*\.(?:md|toml|cfg)|docs?/[^/]*\.md"
)
_LOCK = re.compile(r"(?:.*\.lock|pylock(?:\..*)?\.toml|package-lock\.json|pnpm-lock\.yaml|npm-shrinkwrap\.json)")
_GENERATED_NAME = re.compile(r".*(?:_pb2|_pb2_grpc)\.pyi?|.*\.min\.[a-z]+|.*[._]generated\.pyi?")
_SAYS_GENERATED = re.compile(
    r"(?is)@generated\b"
    r"|\bgenerated\b.{0,200}?\bdo not (?:edit|modify)\b"
    r"|\bdo not (?:edit|modify)\b.{0,200}?\bgenerated\b"
)
GENERATED_HEAD = 1_000
"""Code points at a file's start that are looked through for a word about where it comes from."""
_LONG_LINES = 300
_SMALL = 5_000


def is_wanted(path: str) -> bool:
    """Whether a file of this path belongs into the prompt: Python, a README, or what describes the project at its top.

    Prose other than a README counts at the top and directly in `docs`.
    """
    name = path.rpartition("/")[2]
    return (
        path.endswith(_PYTHON)
        or name == "pyproject.toml"
        or _README.fullmatch(name) is not None
        or _AT_TOP.fullmatch(path) is not None
    )


def never_folder(path: str) -> str | None:
    """Why a folder is left out by its name, or None."""
    name = path.rpartition("/")[2]
    if name.startswith("."):
        return "a hidden folder"
    if name in VENDORED:
        return "vendored code"
    if name in DEPENDENCIES or name.endswith((".egg-info", ".dist-info")):
        return "installed packages"
    return "generated" if name in GENERATED or path in BUILT_AT_TOP else None


def never_file(path: str) -> str | None:
    """Why a file is left out by its name, or None."""
    name = path.rpartition("/")[2]
    if _LOCK.fullmatch(name):
        return "a lock file"
    return "generated" if _GENERATED_NAME.fullmatch(name) else None


def unfit_content(content: str) -> str | None:
    """Why a text is left out for what it holds: secrets, generated or minified code; None where it is fit."""
    return secret_in_text(content) or unfit_shape(content)


def unfit_shape(content: str) -> str | None:
    """Why a text is left out as generated or minified code, or None."""
    return generated(content) or minified(len(content), content.count("\n") + 1)


def generated(content: str) -> str | None:
    """Whether a text says of itself that it is generated: the reason to leave it out, or None."""
    return "generated" if _SAYS_GENERATED.search(_comments(content[:GENERATED_HEAD])) else None


def minified(n_chars: int, n_lines: int) -> str | None:
    """Whether a text of this size and so many lines is code for people: the reason to leave it out, or None."""
    return "minified, or data" if n_chars > _SMALL and n_chars > _LONG_LINES * n_lines else None


def _comments(head: str) -> str:
    """What stands before the first line of code."""
    code = re.search(r"(?m)^(?:from|import|class|def|async|@\w|[A-Za-z_]\w* *[=:(\[])", head)
    return head[: code.start()] if code else head
