"""The schema as a list: one plain record for each setting, for whoever reads, checks or documents them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gemma_lsp.config.schema import Settings

Kind = Literal["text", "integer", "switch", "choice", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInfo:
    """One setting. `name` is the dotted name under which users and problems know it."""

    name: str
    section: str
    field: str
    kind: Kind
    default: Any
    doc: str
    choices: tuple[str, ...]
    minimum: int | None
    maximum: int | None
    from_repository: bool


@cache
def sections() -> dict[str, type]:
    """The dataclass of each section, in the order of the schema."""
    hints = get_type_hints(Settings)
    return {part.name: hints[part.name] for part in fields(Settings)}


@cache
def catalog() -> dict[str, SettingInfo]:
    """Every setting by its dotted name, in the order of the schema."""
    infos: dict[str, SettingInfo] = {}
    for part in fields(Settings):
        infos |= {info.name: info for info in _infos(part.name, part.metadata["from_repository"])}
    return infos


def _infos(section: str, from_repository: bool) -> list[SettingInfo]:
    made = sections()[section]
    hints = get_type_hints(made)
    return [
        SettingInfo(
            name=f"{section}.{item.name}",
            section=section,
            field=item.name,
            kind=_kind(hints[item.name]),
            default=item.default,
            doc=item.metadata["doc"],
            choices=get_args(hints[item.name]) if _kind(hints[item.name]) == "choice" else (),
            minimum=item.metadata["minimum"],
            maximum=item.metadata["maximum"],
            from_repository=from_repository,
        )
        for item in fields(made)
    ]


def _kind(hint: Any) -> Kind:
    kinds: dict[Any, Kind] = {str: "text", int: "integer", bool: "switch", Literal: "choice", tuple: "list"}
    return kinds[get_origin(hint) or hint]
