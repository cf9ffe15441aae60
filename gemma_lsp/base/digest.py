"""Content digests: short enough for a wire message, long enough never to collide by accident."""

from __future__ import annotations

import hashlib


def digest_text(text: str) -> str:
    """128-bit BLAKE2b of the UTF-8 text, as 32 hexadecimal digits."""
    return digest_bytes(text.encode("utf-8", "surrogatepass"))


def digest_bytes(data: bytes) -> str:
    """128-bit BLAKE2b, as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
