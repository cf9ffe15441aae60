"""What the client said about itself in `initialize`: read once, plain and never None. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability

from gemma_lsp.server.convert.positions import choose_encoding
from gemma_lsp.server.convert.uris import path_of
from gemma_lsp.text import PositionEncoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The answers to every question that a handler has about the client."""

    name: str = ""
    encoding: PositionEncoding = PositionEncoding.UTF16
    folders: tuple[tuple[Path, str], ...] = ()
    process_id: int | None = None
    options: Any = None  # initializationOptions as they came
    inline_completion: bool = False
    inline_dynamic: bool = False
    pulls_diagnostics: bool = False
    refreshes_diagnostics: bool = False
    related_documents: bool = False
    progress: bool = False
    shows_documents: bool = False
    configuration: bool = False
    configuration_dynamic: bool = False
    watches_files: bool = False
    streams: bool = False
    wants_cost: bool = False
    wants_status: bool = False
    resolves_edits: bool = False  # of code actions
    annotates_edits: bool = False  # and lets the person confirm them
    document_changes: bool = False
    creates_files: bool = False
    applies_edits: bool = False
    hover_dynamic: bool = False
    related_information: bool = False  # of diagnostics
    code_descriptions: bool = False

    @property
    def is_helix(self) -> bool:
        """Helix opens documents although it does not say so."""
        return self.name.lower() == "helix"

    @property
    def sees_the_disk(self) -> bool:
        """Whether it reports what others do to files. Helix says so and reports its own writes only (helix#11882)."""
        return self.watches_files and not self.is_helix

    @property
    def is_neovim(self) -> bool:
        """Neovim draws an inline completion that has a range over the text to its right."""
        return self.name.lower() == "neovim"

    @property
    def versioned_edits(self) -> bool:
        """Whether edits may name the version they are for; Neovim takes them although it does not say so."""
        return self.document_changes or self.is_neovim


def client_of(params: types.InitializeParams) -> Client:
    """The client as its `initialize` describes it."""
    capabilities = params.capabilities

    def can(name: str) -> bool:
        return bool(get_capability(capabilities, name, False))

    own = _own(capabilities.experimental)
    return Client(
        name=params.client_info.name if params.client_info else "",
        encoding=choose_encoding(get_capability(capabilities, "general.position_encodings", None)),
        folders=folders_of(params),
        process_id=params.process_id,
        options=params.initialization_options,
        inline_completion=get_capability(capabilities, "text_document.inline_completion", None) is not None,
        inline_dynamic=can("text_document.inline_completion.dynamic_registration"),
        pulls_diagnostics=get_capability(capabilities, "text_document.diagnostic", None) is not None,
        refreshes_diagnostics=can("workspace.diagnostics.refresh_support"),
        related_documents=can("text_document.diagnostic.related_document_support"),
        progress=can("window.work_done_progress"),
        shows_documents=can("window.show_document.support"),
        configuration=can("workspace.configuration"),
        configuration_dynamic=can("workspace.did_change_configuration.dynamic_registration"),
        watches_files=can("workspace.did_change_watched_files.dynamic_registration"),
        streams=own.get("stream") is True,
        wants_cost=own.get("cost") is True,
        wants_status=own.get("status") is True,
        resolves_edits=_resolves_edits(capabilities),
        annotates_edits=get_capability(capabilities, "workspace.workspace_edit.change_annotation_support", None)
        is not None,
        document_changes=can("workspace.workspace_edit.document_changes"),
        creates_files=_creates_files(capabilities),
        applies_edits=can("workspace.apply_edit"),
        hover_dynamic=can("text_document.hover.dynamic_registration"),
        related_information=can("text_document.publish_diagnostics.related_information")
        or can("text_document.diagnostic.related_information"),
        code_descriptions=can("text_document.publish_diagnostics.code_description_support")
        or can("text_document.diagnostic.code_description_support"),
    )


def folders_of(params: types.InitializeParams) -> tuple[tuple[Path, str], ...]:
    """The workspace folders: `workspaceFolders`, or else `rootUri`, or else `rootPath`; maybe none."""
    found = [(path_of(folder.uri), folder.name) for folder in params.workspace_folders or ()]
    if not found and params.root_uri:
        found = [(path_of(params.root_uri), "")]
    if not found and params.root_path and Path(params.root_path).is_absolute():
        found = [(Path(params.root_path), "")]
    return tuple((path, name or path.name) for path, name in found if path is not None)


def _own(experimental: Any) -> Mapping[str, Any]:
    """`experimental.gemmaLsp`, as lsprotocol leaves it: plain JSON, or an object with attributes."""
    own = experimental.get("gemmaLsp") if isinstance(experimental, Mapping) else getattr(experimental, "gemmaLsp", None)
    if isinstance(own, Mapping):
        return own
    return {name: getattr(own, name) for name in ("stream", "cost", "status") if hasattr(own, name)}


def _creates_files(capabilities: types.ClientCapabilities) -> bool:
    operations = get_capability(capabilities, "workspace.workspace_edit.resource_operations", None) or ()
    return types.ResourceOperationKind.Create in operations


def _resolves_edits(capabilities: types.ClientCapabilities) -> bool:
    """Whether `codeAction/resolve` may bring the edit: the client must say so, and keep our `data` until then."""
    support = get_capability(capabilities, "text_document.code_action.resolve_support", None)
    keeps_data = get_capability(capabilities, "text_document.code_action.data_support", False)
    return bool(keeps_data) and support is not None and "edit" in support.properties
