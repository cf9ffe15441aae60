"""Every error that gemma-lsp raises on purpose.

```
GemmaLspError
 ├─ ConfigError            a setting that cannot be used
 ├─ ModelError             the model file
 │   ├─ ModelMissing       no model was found
 │   ├─ ModelInvalid       not a GGUF, truncated, or of an architecture that llama.cpp does not know
 │   └─ ModelTooLarge      does not fit into memory
 ├─ EngineError            the engine process
 │   ├─ EngineUnavailable  not running, or gone in the middle of a request
 │   ├─ PromptTooLong      the request does not fit into the context
 │   └─ DecodeFailed       llama.cpp refused a batch
 ├─ EditError              there is no edit that could be offered
 └─ Cancelled              the asker no longer wants the answer
```

A message is one lower-case sentence that says what to do next; it reaches the user as it stands.
"""

from __future__ import annotations


class GemmaLspError(Exception):
    """Base of all errors that are part of the interface."""


class ConfigError(GemmaLspError):
    """A setting that cannot be used."""


class ModelError(GemmaLspError):
    """Something is wrong with the model file."""


class ModelMissing(ModelError):
    """No model was found where one was looked for."""


class ModelInvalid(ModelError):
    """The file is not a GGUF, is truncated, or has an architecture that this llama.cpp does not know."""


class ModelTooLarge(ModelError):
    """The model or its context does not fit into memory."""


class EngineError(GemmaLspError):
    """The engine could not do what it was asked."""


class EngineUnavailable(EngineError):
    """The engine is not running, or went away in the middle of a request."""


class PromptTooLong(EngineError):
    """The request does not fit into the model's context."""


class DecodeFailed(EngineError):
    """llama.cpp refused a batch; what the cache holds was cleared and will be rebuilt."""


class EditError(GemmaLspError):
    """There is no edit that could be offered; nothing is wrong with the engine."""


class Cancelled(GemmaLspError):
    """The asker no longer wants the answer."""


ENGINE_ERRORS: dict[str, type[GemmaLspError]] = {
    kind.__name__: kind
    for kind in (
        ModelMissing,
        ModelInvalid,
        ModelTooLarge,
        EngineError,
        EngineUnavailable,
        PromptTooLong,
        DecodeFailed,
        Cancelled,
    )
}
"""Errors that cross the engine's socket, by name."""
