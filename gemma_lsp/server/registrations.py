"""What is registered with the client after `initialize`: kept equal to what is wanted. Event loop only."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lsprotocol import types

from gemma_lsp.config.schema import Settings
from gemma_lsp.server.client import Client
from gemma_lsp.server.errors import LspError

log = logging.getLogger(__name__)
Send = Callable[[str, Any], Awaitable[Any]]


def wanted(client: Client, settings: Settings) -> dict[str, Any]:
    """Methods and their registration options."""
    methods: dict[str, Any] = {}
    if client.watches_files:
        everything = types.FileSystemWatcher(glob_pattern="**/*")
        methods[types.WORKSPACE_DID_CHANGE_WATCHED_FILES] = types.DidChangeWatchedFilesRegistrationOptions([everything])
    if client.configuration_dynamic:
        options = types.DidChangeConfigurationRegistrationOptions(section="gemma-lsp")
        methods[types.WORKSPACE_DID_CHANGE_CONFIGURATION] = options
    if client.inline_dynamic and settings.completion.enabled:
        methods[types.TEXT_DOCUMENT_INLINE_COMPLETION] = types.InlineCompletionRegistrationOptions()
    if client.hover_dynamic and settings.hover.enabled:
        methods[types.TEXT_DOCUMENT_HOVER] = types.HoverRegistrationOptions()
    return methods


class Registrations:
    """What the client was told. Ids are the methods: each is registered once."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told: set[str] = set()

    async def settle(self, methods: Mapping[str, Any]) -> None:
        """Registers what is missing and takes back what is no longer wanted; a refusal is logged."""
        missing = {method: options for method, options in methods.items() if method not in self._told}
        new = [types.Registration(id=method, method=method, register_options=o) for method, o in missing.items()]
        old = [types.Unregistration(id=method, method=method) for method in sorted(self._told - methods.keys())]
        self._told = set(methods)
        try:
            if new:
                await self._send(types.CLIENT_REGISTER_CAPABILITY, types.RegistrationParams(new))
            if old:
                await self._send(types.CLIENT_UNREGISTER_CAPABILITY, types.UnregistrationParams(old))
        except LspError as error:
            log.warning("the client refused a registration: %s", error.message)
