"""The guard as an ASGI layer around a server's app: HTTP, and websockets with what they say."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.guard.calls import Call, Refused
from pipelines.guard.needs import Asked, Need, Unclear, is_graphql, mutations
from pipelines.guard.people import Person
from pipelines.guard.proxy import SECRET_HEADER
from pipelines.guard.revocation import CLOSED, revocable
from pipelines.guard.rules import Rules
from resources.tags import USER_HEADER, USER_MAY_HEADER

_LARGEST = 4 << 20  # bytes of a GraphQL request, which is read before it is passed on
_MINE = {
    name.lower().encode() for name in (USER_HEADER, USER_MAY_HEADER, SECRET_HEADER, "authorization")
}
_log = logging.getLogger("kinemill.guard")


class Guard:
    """Passes on to `app` what the rules let through, with the name of who asks in a header.

    Args:
        app: of the server.
        rules: that hold for it.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, websocket, or start and end of the server."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        call, cookie = _call_of(scope), None
        try:
            own_page = self._rules.check_page(call)
            person = await self._rules.who(call, own_page=own_page)
            self._rules.check_type(call, person)
            body, receive = await _read(scope, receive)
            asked = Asked(scope["method"], scope["path"], scope["query_string"], body)
            need = self._needed(asked)
            self._rules.check_may(person, need)
        except Refused as refused:
            await self._refuse(call, scope, refused)(scope, receive, _closed_frames(send))
            return
        if need is not Need.LOOK:
            changed = sorted(mutations(json.loads(body)["query"])) if body else ""
            _log.warning("%s: %s %s %s", person.name, asked.method, asked.path, changed)
        if person.by == "password":
            cookie = self._rules.sessions.issue(call, person)
        answer = _closed_frames(send, cookie)
        await self._app(_named(scope, person), receive, answer)

    def _needed(self, asked: Asked) -> Need:
        try:
            return self._rules.need(asked)
        except Unclear as unclear:
            status = 405 if asked.method == "GET" else 400
            raise Refused(status, str(unclear)) from unclear

    def _refuse(self, call: Call, scope: Scope, refused: Refused) -> Response:
        _log.warning(
            "refused %s %s from %s: %s", call.method, scope["path"], call.peer, refused.why
        )
        headers = dict[str, str]()
        if refused.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="kinemill", charset="UTF-8"'
        if refused.retry_after is not None:
            headers["Retry-After"] = str(refused.retry_after)
        return JSONResponse(
            {
                "error_code": "PERMISSION_DENIED",
                "message": refused.why,
                "errors": [{"message": refused.why}],
            },
            refused.status,
            headers,
        )

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _call_of(scope)
        try:
            own_page = self._rules.check_page(call)
            person = await self._rules.who(call, own_page=own_page)
        except Refused as refused:
            _log.warning("refused a websocket from %s: %s", call.peer, refused.why)
            await receive()
            await send(CLOSED)
            return

        is_current = self._rules.is_current(call, person, own_page=own_page)
        receive, send = revocable(receive, send, is_current)

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and _changes(message):
                _log.warning("refused a mutation through a websocket of %s", person.name)
                await send(CLOSED)
                return {"type": "websocket.disconnect", "code": CLOSED["code"]}
            return message

        await self._app(_named(scope, person), listen, send)


def _call_of(scope: Scope) -> Call:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    websocket = scope["type"] == "websocket"
    scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
    peer = (scope.get("client") or [""])[0]
    return Call(scope.get("method", "GET"), headers, scheme, peer, websocket)


async def _read(scope: Scope, receive: Receive) -> tuple[bytes | None, Receive]:
    """Return the body of a GraphQL request, and what gives it to the app once more.

    Raises:
        Refused: it is larger than any page of Dagster's sends.
    """
    if scope["method"] != "POST" or not is_graphql(scope["path"]):
        return None, receive
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request ended early")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _LARGEST:
            raise Refused(413, f"more than {_LARGEST >> 20} MB of GraphQL")
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def _changes(message: Mapping[str, Any]) -> bool:
    """Tell whether a message of a websocket asks for a mutation, or cannot be read."""
    text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
    try:
        payload = json.loads(text).get("payload") or {}
        return bool("query" in payload and mutations(payload["query"]))
    except (ValueError, AttributeError, TypeError):
        return True


def _named(scope: Scope, person: Person) -> Scope:
    """Return a request that says who asks; what it said of that itself is dropped."""
    headers = [item for item in scope["headers"] if item[0].lower() not in _MINE]
    headers += [
        (USER_HEADER.lower().encode(), person.name.encode("ascii", "replace")),
        (USER_MAY_HEADER.lower().encode(), person.may.name.lower().encode()),
    ]
    return {**scope, "headers": headers}


def _closed_frames(send: Send, cookie: str | None = None) -> Send:
    """Let no page show the answer in a frame, and no script read it as something else."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            headers.append("Content-Security-Policy", "frame-ancestors 'none'")
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Referrer-Policy", "same-origin")
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            if cookie:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return answer
