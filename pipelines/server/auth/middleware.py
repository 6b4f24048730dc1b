"""The guard as ASGI middleware around a server's app: HTTP, and websockets with their messages.

Each request is parsed, authorized, and rebuilt in canonical form (`request`): the app never
receives the client's bytes.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinemill.errors import KinemillError
from kinemill_dagster.pipelines.server.auth.calls import Call, Refused
from kinemill_dagster.pipelines.server.auth.permissions import Decision, Permission, Route
from kinemill_dagster.pipelines.server.auth.request import (
    Request,
    check_json,
    forwarded,
    parse_request,
    read_json,
    write_json,
)
from kinemill_dagster.pipelines.server.auth.rules import Rules
from kinemill_dagster.pipelines.server.auth.users import Identity
from kinemill_dagster.resources.tags import USER_HEADER, USER_MAY_HEADER

CLOSED: Message = {"type": "websocket.close", "code": 1008}  # policy violation
_SUBPROTOCOL = "graphql-ws"
_log = logging.getLogger("kinemill.guard")
_CODES = {400: "INVALID_PARAMETER_VALUE", 404: "ENDPOINT_NOT_FOUND"}  # of MLflow


class Guard:
    """Forwards authorized requests to `app`, with the name of the user in a header.

    Args:
        app: app of the server.
        rules: rules of the server.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, websocket, or lifespan event."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _call_of(scope)
        cookie = None
        try:
            is_our_page = self._rules.check_page(call)
            identity = await self._rules.who(call, is_our_page=is_our_page)
            request, route = await self._parsed(call, scope, receive, identity)
            decision = await self._authorized(request, route, identity)
        except Refused as refused:
            response = self._refuse(call, scope, refused)
            await response(scope, receive, _closed_frames(send))
            return
        if decision.body is not None:
            request = replace(request, body=decision.body)
        if identity.by == "password":
            cookie = self._rules.sessions.issue(call, identity)
        body = receive if route.body == "stream" else _body_once(request, receive)
        statuses = list[int]()
        response = _closed_frames(send, cookie, statuses)
        await self._app(forwarded(request, scope, _names(identity)), body, response)
        if decision.after and statuses == [200]:
            await self._run_after(decision.after)

    async def _run_after(self, action: Callable[[], None]) -> None:
        """Run an action after the response: it may wait for a lock that the client holds."""
        try:
            await run_in_threadpool(action)
        except (KinemillError, OSError) as error:
            _log.error("the audit log does not follow: %s", error)

    async def _parsed(
        self, call: Call, scope: Scope, receive: Receive, identity: Identity
    ) -> tuple[Request, Route]:
        """Return a request with its body, and its route.

        Raises:
            Refused: It is ambiguous, not served, or not for this user.
        """
        request = parse_request(call, scope)
        route = self._rules.site.route(request)
        self._rules.check_may(identity, Decision(route.least))
        if route.body != "json":
            return request, route
        check_json(call)
        return replace(request, query=(), body=await read_json(receive)), route

    async def _authorized(self, request: Request, route: Route, identity: Identity) -> Decision:
        """Return the decision about a request.

        Raises:
            Refused: The user may not make it.
        """
        decision = await run_in_threadpool(route.decide, request, identity.name)
        self._rules.check_may(identity, decision)
        if decision.permission is not Permission.LOOK:
            details = (identity.name, request.method, request.path, decision.changes)
            _log.warning("%s: %s %r [%s]", *details)
        return decision

    def _refuse(self, call: Call, scope: Scope, refused: Refused) -> Response:
        _log.warning(
            "refused %s %r from %s: %s", call.method, scope["path"], call.peer, refused.why
        )
        headers = dict[str, str]()
        if refused.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="kinemill", charset="UTF-8"'
        if refused.retry_after is not None:
            headers["Retry-After"] = str(refused.retry_after)
        return JSONResponse(
            {
                "error_code": _CODES.get(refused.status, "PERMISSION_DENIED"),
                "message": refused.why,
                "errors": [{"message": refused.why}],
            },
            refused.status,
            headers,
        )

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _call_of(scope)
        try:
            is_our_page = self._rules.check_page(call)
            identity = await self._rules.who(call, is_our_page=is_our_page)
            request = parse_request(call, scope)
            if request.path != "/graphql" or _SUBPROTOCOL not in scope.get("subprotocols", []):
                raise Refused(403, "websockets need the protocol graphql-ws at /graphql")
        except Refused as refused:
            _log.warning("refused a websocket from %s: %s", call.peer, refused.why)
            await receive()
            await send(CLOSED)
            return

        is_current = self._rules.is_current(call, identity, is_our_page=is_our_page)
        receive, send = revocable(receive, send, is_current)

        async def listen() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            sent = message.get("text") or message.get("bytes") or b""
            try:
                return {**message, "bytes": None, "text": self._rules.site.message(sent).decode()}
            except Refused as refused:
                _log.warning("refused a message of %s's websocket: %s", identity.name, refused.why)
                await send(CLOSED)
                return {"type": "websocket.disconnect", "code": CLOSED["code"]}

        opened = forwarded(request, scope, _names(identity))
        opened["subprotocols"] = [_SUBPROTOCOL]
        await self._app(opened, listen, send)


def _call_of(scope: Scope) -> Call:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    websocket = scope["type"] == "websocket"
    scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
    peer = (scope.get("client") or [""])[0]
    return Call(scope.get("method", "GET"), headers, scheme, peer, websocket)


def _body_once(request: Request, receive: Receive) -> Receive:
    """Return an ASGI receive that yields the canonical body, then waits for the disconnect."""
    is_read = False

    async def get_or_build() -> Message:
        nonlocal is_read
        if is_read:
            while (message := await receive())["type"] != "http.disconnect":
                continue  # the rest of a body that is not forwarded
            return message
        is_read = True
        body = b"" if request.body is None else write_json(request.body)
        return {"type": "http.request", "body": body, "more_body": False}

    return get_or_build


def _names(identity: Identity) -> dict[str, str]:
    """Return the headers that name the user; those of the client are dropped."""
    return {
        USER_HEADER.lower(): identity.name.encode("ascii", "replace").decode(),
        USER_MAY_HEADER.lower(): identity.may.name.lower(),
    }


def _closed_frames(
    send: Send, cookie: str | None = None, statuses: list[int] | None = None
) -> Send:
    """Add headers against framing and content sniffing, and the status to `statuses`."""

    async def send_frame(message: Message) -> None:
        if message["type"] == "http.response.start":
            if statuses is not None:
                statuses.append(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            headers.append("Content-Security-Policy", "frame-ancestors 'none'")
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Referrer-Policy", "same-origin")
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            if cookie:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return send_frame


def revocable(
    receive: Receive, send: Send, is_current: Callable[[], Awaitable[bool]]
) -> tuple[Receive, Send]:
    """Return a websocket that closes with its first message after `is_current` turns false."""
    closed = False

    async def close_unless_current() -> bool:
        nonlocal closed
        if not closed and not await is_current():
            closed = True
            await send(CLOSED)
        return closed

    async def listen() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and await close_unless_current():
            return {"type": "websocket.disconnect", "code": CLOSED["code"]}
        return message

    async def send_frame(message: Message) -> None:
        if not await close_unless_current():
            await send(message)

    return listen, send_frame
