"""The conversation: which message may come when, and exactly one answer to every request.

Replaces pygls's dispatch, which leaves invalid requests unanswered, answers before `initialize`, takes a second
`initialize`, is silent after `shutdown`, sends tracebacks and logs bodies. Event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from cattrs import transform_error
from lsprotocol import types
from pygls.protocol import LanguageServerProtocol

from gemma_lsp.server import errors
from gemma_lsp.server.errors import LspError
from gemma_lsp.server.messages import Ignored, Malformed, MessageId, Notification, Request, Response, classify
from gemma_lsp.server.routes import Route, Routes
from gemma_lsp.server.stdio import frame

log = logging.getLogger(__name__)


class Lifecycle(StrEnum):
    """Where the session stands."""

    NEW = "new"  # before initialize
    RUNNING = "running"
    SHUT_DOWN = "shut down"


@dataclass(eq=False, slots=True)
class Running:
    """A request that is being worked on. `why` is the answer if it is cancelled."""

    id: MessageId
    task: asyncio.Task[Any] | None = None
    timer: asyncio.TimerHandle | None = None
    why: LspError = field(default_factory=errors.request_cancelled)

    def stop(self, why: LspError) -> None:
        """Ends the request with this error. Of one that is answered already, nothing."""
        if self.task is not None and not self.task.done():
            self.why = why
            self.task.cancel()


class Protocol(LanguageServerProtocol):
    """One client. Invariant: a request is in `_running` from its arrival to its answer, and is answered once."""

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self.routes: Routes = {}
        self.lifecycle = Lifecycle.NEW
        self.on_exit: Callable[[int], None] = lambda code: None
        self.current: Running | None = None
        self._running: dict[MessageId, Running] = {}

    def _register_builtin_features(self) -> None:
        """None of pygls's: `routes` says everything."""

    # -- in --------------------------------------------------------------------------------------------------------

    def on_body(self, body: bytes) -> None:
        """A message's body came in. Never raises."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            log.warning("a message of %d bytes is not JSON", len(body))
            self._answer_error(None, errors.parse_error())
            return
        log.debug("received: %s", data)
        match classify(data):
            case Request() as request:
                self._on_request(request)
            case Notification() as notification:
                self._on_notification(notification)
            case Response() as response:
                self._on_response(response)
            case Malformed(id=id_, error=error):
                self._answer_error(id_, error)
            case Ignored(why=why):
                log.warning("ignoring a message: %s", why)

    def _on_request(self, request: Request) -> None:
        if request.id in self._running:
            self._answer_error(request.id, errors.invalid_request("a request with this id is still running"))
            return
        running = self._running[request.id] = Running(request.id)
        try:
            self._admit(request.method)
            route = self._route(request)
            result = self._call(route, running, self._params(request.method, request.params))
        except Exception as error:
            self._end(running, error=error, method=request.method)
            return
        if not inspect.isawaitable(result):
            self._end(running, result=result, method=request.method)
            return
        running.task = asyncio.ensure_future(result)
        if route.deadline_s is not None:
            late = errors.request_failed(f"no answer within {route.deadline_s:g} s; try again, or ask for less")
            running.timer = asyncio.get_running_loop().call_later(route.deadline_s, running.stop, late)
        running.task.add_done_callback(lambda task: self._on_done(running, request.method, task))

    def _admit(self, method: str) -> None:
        """Moves the lifecycle on, or raises what the protocol demands for a request at the wrong time."""
        if self.lifecycle is Lifecycle.SHUT_DOWN:
            raise errors.invalid_request(f"{method} came after shutdown")
        if method == types.INITIALIZE and self.lifecycle is Lifecycle.RUNNING:
            raise errors.invalid_request("initialize may be sent once only")
        if method != types.INITIALIZE and self.lifecycle is Lifecycle.NEW:
            raise errors.not_initialized(method)

    def _route(self, request: Request) -> Route:
        route = self.routes.get(request.method)
        if route is None:
            raise errors.method_not_found(request.method)
        if not is_request(request.method):
            raise errors.invalid_request(f"{request.method} is a notification and takes no id")
        return route

    def _call(self, route: Route, running: Running, params: Any) -> Any:
        self.current = running
        try:
            return route.handler(self._server, params)
        finally:
            self.current = None

    def _on_notification(self, notification: Notification) -> None:
        method = notification.method
        if method == types.EXIT:
            self.on_exit(0 if self.lifecycle is Lifecycle.SHUT_DOWN else 1)
            return
        route = self.routes.get(method)
        if self.lifecycle is not Lifecycle.RUNNING or (route is None and method != types.CANCEL_REQUEST):
            level = logging.DEBUG if method.startswith("$/") else logging.WARNING
            log.log(level, "ignoring the notification %s (the session is %s)", method, self.lifecycle)
            return
        try:
            params = self._params(method, notification.params)
            if route is None:
                self._cancel(params.id)
            elif is_request(method):
                log.warning("ignoring %s: a request needs an id", method)
            elif inspect.isawaitable(result := route.handler(self._server, params)):
                task = asyncio.ensure_future(result)
                task.add_done_callback(lambda task: self._on_notification_done(method, task))
        except Exception as error:
            self._log_failure(method, error)

    def _params(self, method: str, raw: Any) -> Any:
        """The parameters as lsprotocol's type; those of our own methods stay plain JSON."""
        known = types.METHOD_TO_TYPES.get(method)
        if known is None or known[2] is None:
            return raw
        try:
            return self._converter.structure(raw, cast(Any, known[2]))
        except Exception as error:
            raise errors.invalid_params(f"invalid parameters for {method}: {_first_complaint(error)}") from None

    def _cancel(self, id_: MessageId) -> None:
        running = self._running.get(id_)
        if running is not None:
            running.stop(errors.request_cancelled())

    def _on_response(self, response: Response) -> None:
        future: Future[Any] | None = self._request_futures.pop(response.id, None)
        result_type = self._result_types.pop(response.id, None)
        if future is None or not future.set_running_or_notify_cancel():
            log.debug("an answer to %r came, but nobody waits for it", response.id)
            return
        try:
            if response.error is not None:
                error = self._converter.structure(response.error, types.ResponseError)
                future.set_exception(LspError(error.code, error.message))
                return
            message = {"jsonrpc": "2.0", "id": response.id, "result": response.result}
            known = result_type is not None
            future.set_result(self._converter.structure(message, result_type).result if known else response.result)
        except Exception as error:
            future.set_exception(errors.invalid_params(f"the client's answer is invalid: {_first_complaint(error)}"))

    # -- out -------------------------------------------------------------------------------------------------------

    def _on_done(self, running: Running, method: str, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._end(running, error=running.why, method=method)
        elif (error := task.exception()) is not None:
            self._end(running, error=error, method=method)
        else:
            self._end(running, result=task.result(), method=method)

    def _on_notification_done(self, method: str, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log_failure(method, error)

    def _end(self, running: Running, *, method: str, result: Any = None, error: BaseException | None = None) -> None:
        """The one place that answers a request."""
        if self._running.pop(running.id, None) is None:
            return
        if running.timer is not None:
            running.timer.cancel()
        if error is None:
            try:
                self._send_data({"jsonrpc": "2.0", "id": running.id, "result": result})
                return
            except (TypeError, ValueError, AttributeError) as unsendable:
                error = unsendable
        expected = errors.error_for(error)
        if expected is None:
            self._log_failure(method, error)
            expected = LspError(types.ErrorCodes.InternalError, f"{method} failed inside the server; see its log")
        self._answer_error(running.id, expected)

    def _answer_error(self, id_: MessageId | None, error: LspError) -> None:
        self._send_data({"jsonrpc": "2.0", "id": id_, "error": error.to_json()})

    def _log_failure(self, method: str, error: BaseException) -> None:
        if (expected := errors.error_for(error)) is not None:
            log.warning("%s: %s", method, expected.message)
        else:
            log.error("%s failed", method, exc_info=error)

    def _send_data(self, data: Any) -> None:
        """Serialises a message and hands it to the writer; raises if it cannot be serialised."""
        body = json.dumps(data, default=self._serialize_message).encode()
        log.debug("sent: %s", body)
        if self.writer is not None:
            self.writer.write(frame(body))

    # -- the end of the session ------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """No request is taken from here on. Those that run are answered as cancelled."""
        self.lifecycle = Lifecycle.SHUT_DOWN
        for running in list(self._running.values()):
            running.stop(errors.request_cancelled())

    async def settle(self, timeout_s: float) -> None:
        """Waits until nothing runs any more."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        tasks = [task for task in tasks if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def forget_client(self) -> None:
        """The client is gone: whoever waits for its answers is told."""
        for future in self._request_futures.values():
            future.cancel()
        self._request_futures.clear()


def is_request(method: str) -> bool:
    """Whether the protocol says that a method is answered; of our own methods, all but the ones we send."""
    known = types.METHOD_TO_TYPES.get(method)
    return known is None or known[1] is not None


def _first_complaint(error: Exception) -> str:
    """What is wrong and where, without the value: it may be source text."""
    complaints = [type(error).__name__]
    with contextlib.suppress(Exception):
        complaints = [str(line) for line in transform_error(error)]
    return complaints[0] if complaints else "they do not fit"
