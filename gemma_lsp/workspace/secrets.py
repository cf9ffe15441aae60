"""Which files hold secrets, by name and by content. Pure; any thread may call it.

High confidence only: a pattern that also fits ordinary code would silently cost the user a file.
"""

from __future__ import annotations

import re

_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    ".dockerconfigjson",
    "credentials",
    "credentials.json",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "secrets.ini",
    "secrets.cfg",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.asc",
    "*.gpg",
    "*.ovpn",
    "*.tfstate",
    "*.tfvars",
)
_EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")

_NAME = re.compile("|".join(f"(?:{re.escape(name).replace(chr(92) + '*', '.*')})" for name in _NAMES), re.IGNORECASE)

# What to look for first, because a plain search is fifty times as fast; then what must match.
_CONTENT: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "a private key",
        ("PRIVATE KEY",),
        r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.{0,200}?[A-Za-z0-9+/]{40}",
    ),
    ("an AWS access key", ("AKIA", "ASIA"), r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    (
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?!\w)",
    ),
    ("a GitLab token", ("glpat-",), r"(?<!\w)glpat-[A-Za-z0-9_\-]{20}(?![\w-])"),
    ("a Slack token", ("xox",), r"(?<!\w)xox[abprs]-\d{8,14}-[A-Za-z0-9-]{20,}"),
    (
        "a Slack webhook",
        ("hooks.slack.com",),
        r"https://hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}",
    ),
    ("a Google API key", ("AIza",), r"(?<![\w-])AIza[A-Za-z0-9_\-]{35}(?![\w-])"),
    ("a Stripe key", ("k_live_",), r"(?<!\w)[sr]k_live_[A-Za-z0-9]{20,}"),
    ("a PyPI token", ("pypi-AgEI",), r"(?<!\w)pypi-AgEI[A-Za-z0-9_\-]{60,}"),
    ("an npm token", ("npm_",), r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)"),
    ("a Hugging Face token", ("hf_",), r"(?<!\w)hf_[A-Za-z]{34}(?!\w)"),
    (
        "an OpenAI or Anthropic key",
        ("sk-proj-", "sk-ant-"),
        r"(?<!\w)sk-(?:proj-[A-Za-z0-9_\-]{40,}|ant-[a-z0-9]+-[A-Za-z0-9_\-]{40,})",
    ),
)
_PATTERNS = tuple((reason, hints, re.compile(pattern)) for reason, hints, pattern in _CONTENT)
LONGEST_SECRET = 400
"""Code points of a secret that decide whether it is one; where a pattern goes on, the rest is on the same line."""

_PLACEHOLDER = re.compile(r"(?i)example|x{8}|0{8}|1234567890|abcdefgh|\.\.\.")


def secret_by_name(path: str) -> str | None:
    """Why a file of this name is taken for a secret, or None."""
    name = path.rpartition("/")[2]
    if name.lower() in _EXAMPLES or not _NAME.fullmatch(name):
        return None
    return "a secret by its name"


def secret_in_text(content: str) -> str | None:
    """Why a file of this content is taken for a secret, or None. Documented placeholders are not secrets."""
    for reason, hints, pattern in _PATTERNS:
        if any(hint in content for hint in hints):
            for match in pattern.finditer(content):
                if not _PLACEHOLDER.search(match.group()):
                    return f"holds {reason}"
    return None
