"""Parse an HTTP request once; the servers receive only requests rebuilt from the parsed value.

Two programs that parse the same bytes can disagree: about the case of a content type, the second of
two equal keys, a query string with a body, an encoded slash. The guard therefore parses a request
strictly, authorizes the parsed value, and serializes that value again in one canonical form.
"""

import asyncio
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

from starlette.types import Receive, Scope

from kinemill.store import Json
from kinemill_dagster.pipelines.server.auth.calls import Call, Refused

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SAFE = frozenset({"GET", "HEAD"})
LARGEST = 4 << 20  # bytes of a JSON body; the pages of both servers send some kilobytes
LONGEST_TEXT = 10_000  # characters of a description, note, tag or name that is stored
_PATIENCE = 30.0  # s for a JSON body to arrive
_DEEPEST = 64  # levels of lists and objects in a body
# Headers that the servers receive. All others are dropped: cookies, method overrides, workspaces.
_FORWARDED = (
    "accept",
    "accept-encoding",
    "accept-language",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_JSON = re.compile(r'application/json(?:\s*;\s*charset="?utf-?8"?)?', re.IGNORECASE)
_FORM = "application/json"


@dataclass(frozen=True)
class Request:
    """A parsed request.

    Attributes:
        method: one of `METHODS`.
        segments: decoded parts of the path; empty for `/`.
        query: names and values of the query string, in order.
        headers: forwarded headers, by lower-case name.
        length: declared length of the body in bytes, or None.
        body: parsed JSON object; None for a request without one.
    """

    method: str
    segments: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    length: int | None = None
    body: Mapping[str, Any] | None = None

    @property
    def path(self) -> str:
        """Return the canonical path, decoded."""
        return "/" + "/".join(self.segments)

    @property
    def is_safe(self) -> bool:
        """Return whether the method only reads."""
        return self.method in SAFE


def parse_request(call: Call, scope: Scope) -> Request:
    """Return a request without its body.

    Raises:
        Refused: It is ambiguous.
    """
    method = scope.get("method", "GET")
    if method not in METHODS:
        raise Refused(405, f"the method {method[:20]!r} is not served")
    length = call.one("content-length")
    if length is not None and call.headers.get("transfer-encoding"):
        raise Refused(400, "content-length and transfer-encoding contradict each other")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise Refused(400, "content-length is not a number")
    headers = {name: ", ".join(call.headers[name]) for name in _FORWARDED if call.headers.get(name)}
    return Request(
        method,
        _segments(scope),
        _query(scope.get("query_string", b"")),
        {"host": _host(call), **headers},
        None if length is None else int(length),
    )


def _segments(scope: Scope) -> tuple[str, ...]:
    """Return the parts of a path, each decoded once.

    Raises:
        Refused: A part can be read as several parts, as a parent, or as still encoded.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if not raw.startswith(b"/") or b"#" in raw or b"?" in raw:
        raise Refused(400, "the target of a request must be a path")
    parts = raw[1:].split(b"/")
    if parts[-1] == b"":
        parts.pop()
    segments: list[str] = []
    for part in parts:
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(400, "the path is not UTF-8") from error
        odd = text in {"", ".", ".."} or "/" in text or _CONTROL.search(text)
        if odd or _ENCODED.search(text):
            raise Refused(400, f"the path has a part that is not served: {text[:40]!r}")
        segments.append(text)
    return tuple(segments)


def _query(raw: bytes) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise Refused(400, "the query string is not encoded as UTF-8") from error
    if any("\x00" in name or "\x00" in value for name, value in pairs):
        raise Refused(400, "the query string holds a control character")
    return tuple(pairs)


def _host(call: Call) -> str:
    """Return the checked Host header in canonical form."""
    parts = urlsplit(f"//{call.one('host') or ''}")
    name = parts.hostname or ""
    named = f"[{name}]" if ":" in name else name
    return named if parts.port is None else f"{named}:{parts.port}"


def check_json(call: Call) -> None:
    """Check that a body is JSON in UTF-8, which other sites send only after a preflight.

    Raises:
        Refused: It is something else, or compressed.
    """
    kind = (call.one("content-type") or "").strip()
    if not _JSON.fullmatch(kind):
        raise Refused(415, f"a body must be {_FORM}, not {kind[:60]!r}")
    if (call.one("content-encoding") or "identity").strip().lower() != "identity":
        raise Refused(415, "compressed bodies are not accepted")


async def read_json(receive: Receive) -> Json:
    """Return the JSON object of a body; an empty body is an empty object.

    Raises:
        Refused: It is too large, too slow, or no JSON object.
    """
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(_PATIENCE):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the request ended early")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST:
                    raise Refused(413, f"more than {LARGEST >> 20} MB of JSON")
    except TimeoutError as error:
        raise Refused(408, f"the body took longer than {_PATIENCE:.0f} s") from error
    return parse_object(bytes(body)) if body.strip() else {}


def parse_object(text: bytes | str) -> Json:
    """Parse a JSON object strictly, so that all parsers agree.

    Raises:
        Refused: It has a duplicate key, an invalid number, an encoding other than UTF-8, trailing
            text or too many levels, or is not an object.
    """
    try:
        document = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=unique_members,
            parse_float=_finite,
            parse_constant=_finite,
        )
        write_json(document)  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"this is not strict JSON ({str(error)[:120]})") from error
    if not isinstance(document, dict):
        raise Refused(400, "a body must be one JSON object, not a list or a value")
    if not _is_flat(document, _DEEPEST):
        raise Refused(400, f"the body has more than {_DEEPEST} levels")
    return document


def check_texts(body: object, *, but: Collection[str] = ()) -> None:
    """Check that the texts of a body are short; keys in `but` hold documents, not free text.

    Raises:
        Refused: A text is too long.
    """
    waiting = [("the body", body)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [("a key", key) for key in value]
            waiting += [(str(key), inner) for key, inner in value.items() if key not in but]
        elif isinstance(value, list):
            waiting += [(where, inner) for inner in value]
        elif isinstance(value, str) and len(value) > LONGEST_TEXT:
            problem = f"{where[:40]} has {len(value):,} characters"
            raise Refused(400, f"{problem}; expected at most {LONGEST_TEXT:,}; shorten it")


def write_json(value: object) -> bytes:
    """Return a value as canonical JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def forwarded(request: Request, scope: Scope, extra: Mapping[str, str]) -> Scope:
    """Return the scope that a server receives, built from a parsed request.

    Only addresses and the server's state of `scope` are used.
    """
    headers = {**request.headers, **extra}
    if request.body is not None:
        headers |= {"content-type": _FORM, "content-length": str(len(write_json(request.body)))}
    elif request.length is not None and not request.is_safe:
        headers["content-length"] = str(request.length)
    names = ("type", "asgi", "http_version", "server", "client", "scheme", "state", "extensions")
    return {
        **{name: scope[name] for name in names if name in scope},
        "method": request.method,
        "root_path": "",
        "path": request.path,
        "raw_path": quote(request.path).encode(),
        "query_string": urlencode(request.query).encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


def unique_members(pairs: list[tuple[str, object]]) -> Json:
    """Return a JSON object, as `object_pairs_hook`; a duplicate key would hide an entry.

    Raises:
        ValueError: A key is repeated.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "a key is repeated"
        raise ValueError(message)
    return members


def _finite(text: str) -> float:
    """Return a finite number; JSON has no NaN or infinity, and 1e999 overflows."""
    number = float(text)
    if not math.isfinite(number):
        message = f"{text[:20]} is not a finite number"
        raise ValueError(message)
    return number


def _is_flat(value: object, levels: int) -> bool:
    """Return whether lists and objects nest no deeper than some levels."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > levels:
            return False
        if isinstance(item, dict):
            waiting += [(each, depth + 1) for each in item.values()]
        elif isinstance(item, list):
            waiting += [(each, depth + 1) for each in item]
    return True
