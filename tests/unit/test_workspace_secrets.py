"""Secrets never enter the workspace. The samples are put together here, so that this file holds none."""

from __future__ import annotations

import random
import string

import pytest

from gemma_lsp.workspace.secrets import secret_by_name, secret_in_text

RANDOM = random.Random(7)
LETTERS = string.ascii_letters


def letters(count: int, alphabet: str = LETTERS + string.digits) -> str:
    return "".join(RANDOM.choices(alphabet, k=count))


SAMPLES = {
    "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----\n" + letters(64) + "\n-----END",
    "an AWS access key": "AKI" + "A" + letters(16, string.ascii_uppercase + "234567"),
    "a GitHub token": "gh" + "p_" + letters(36),
    "a GitLab token": "glpat" + "-" + letters(20),
    "a Slack token": "xox" + "b-" + "987650432109-" + letters(24),
    "a Slack webhook": "https://hooks.slack" + ".com/services/T" + "QZ7WK2M9P/B" + "X4RT8LN3V/" + letters(24),
    "a Google API key": "AIz" + "a" + letters(35),
    "a Stripe key": "sk_liv" + "e_" + letters(24),
    "a PyPI token": "pypi-" + "AgEI" + letters(80),
    "an npm token": "npm" + "_" + letters(36),
    "a Hugging Face token": "hf" + "_" + letters(34, LETTERS),
    "an OpenAI or Anthropic key": "sk-" + "ant-api03-" + letters(60),
}


@pytest.mark.parametrize("reason", SAMPLES)
def test_each_kind_of_token_is_found_inside_code(reason: str) -> None:
    """Between quotes, anywhere in the text; the reason names the kind."""
    assert secret_in_text(f'import os\nTOKEN = "{SAMPLES[reason]}"\n') == f"holds {reason}"


def test_a_key_spelled_as_lines_of_strings_is_found() -> None:
    """As it stands in tests and settings written in Python."""
    key = '"-----BEGIN PRIVATE ' + f'KEY-----\\n"\n    "{letters(64)}\\n"\n'
    assert secret_in_text(f"KEY = ({key})") == "holds a private key"


@pytest.mark.parametrize(
    "content",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "prefix_hf_" + "a" * 34,
        "sk-learn is a library",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "npm_" + "config_registry",
        're.compile(r"AKIA[A-Z2-7]{16}")',
        "sha256 = '" + "a1" * 32 + "'",
    ],
)
def test_placeholders_patterns_and_digests_are_no_secrets(content: str) -> None:
    """A false alarm would silently cost the user a file."""
    assert secret_in_text(content) is None


@pytest.mark.parametrize(
    "path",
    [
        *(".env", "app/.env.local", "prod.env", "id_rsa", "id_rsa.bak", "a/server.pem", "x.KEY", ".npmrc", ".netrc"),
        *(".pypirc", "aws/credentials", "service-account-prod.json", "store.p12", "main.tfvars", "secrets.yaml"),
    ],
)
def test_names_of_secrets(path: str) -> None:
    """By the last part of the path, in any case."""
    assert secret_by_name(path) == "a secret by its name"


@pytest.mark.parametrize("path", ["env.py", ".env.example", "keys.py", "credentials.py", "secrets.py", "key", "pem/a"])
def test_names_of_ordinary_files(path: str) -> None:
    """Code about secrets is code."""
    assert secret_by_name(path) is None
