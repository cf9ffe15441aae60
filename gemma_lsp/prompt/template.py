"""Runs the chat template that comes with a model: a stranger's program, hence sandboxed. Pure; any thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

_FIXED_DATE = date(2026, 1, 1)  # a template that prints today's date would empty the cache every midnight


def render(source: str, messages: Sequence[dict[str, str]], *, bos: str, eos: str) -> str:
    """What a template makes of a conversation whose answer is to follow; "" where it refuses."""
    try:
        template = _environment().from_string(source)
        return template.render(
            messages=messages,
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            enable_thinking=True,
            tools=None,
        )
    except Exception:  # whatever it raises, this way of asking does not work
        return ""


def _environment() -> ImmutableSandboxedEnvironment:
    """With the helpers that templates count on."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals.update(raise_exception=_raise, strftime_now=lambda form: _FIXED_DATE.strftime(form))
    return environment


def _raise(message: Any) -> NoReturn:
    raise TemplateError(str(message))
