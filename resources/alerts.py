"""Alerts: messages about events, sent once to each receiver.

The file `alerts.yaml` in the home (or the path in `KINEMILL_ALERTS`) defines the receivers:

    urls: ["slack://...", "mailto://..."]        # any address of apprise
    on: [failure, refused, promoted]             # default: all kinds
    quarantine_share: 0.2                        # from which share of the recordings on
    stalled_after: 1800                          # s without an event of a run
    routes: [{urls: ["json://..."], tasks: [g1], owners: [ada], on: [drift]}]
    webhooks: {origins: ["https://..."]}         # which addresses MLflow's webhooks may use

`queue` only writes a file under `alerts/waiting/`, so it never blocks; a separate process
(`resources.alert_delivery`) sends it. The file name is derived from the event, so an event is sent
once, however often it is reported. Addresses are secrets: they are read when needed, and neither
logged nor stored; messages show `#1 slack`.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from kinemill.errors import BadInput
from kinemill.store import Json, digest, publish_json, read_json
from kinemill.store.home import Home
from kinemill.task.yaml import read_yaml

VARIABLE = "KINEMILL_ALERTS"
Kind = Literal[
    "failure",
    "refused",
    "waiting",
    "promoted",
    "rolled_back",
    "moved",
    "quarantine",
    "drift",
    "stalled",
    "disk",
    "memory",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
OLD = 30 * 86400.0  # s; older events are ignored, and older sent alerts can be deleted


_SCHEME = re.compile(r"([a-z0-9]{1,16})://")  # the public part of an address
_ADDRESS = re.compile(  # unambiguous: no user name, no fragment, no backslash
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>/[\w.~!$&'()*+,;=:@%/-]*)?"
    r"(?P<query>\?[\w.~!$&'()*+,;=:@%/?-]*)?",
    re.IGNORECASE | re.ASCII,
)


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class Route(_Settings):
    """Receivers of alerts with filters; a missing list accepts all."""

    urls: tuple[SecretStr, ...]
    tasks: tuple[str, ...] | None = None
    owners: tuple[str, ...] | None = None
    on: tuple[Kind, ...] | None = None

    def takes(self, note: Mapping[str, str]) -> bool:
        """Return whether this route accepts an alert."""
        filters = ((self.tasks, "task"), (self.owners, "owner"), (self.on, "kind"))
        return all(accepted is None or note[key] in accepted for accepted, key in filters)


def _origin(text: str) -> str:
    """Return an origin in canonical form: scheme, host, and the port if it is not the default."""
    match = _ADDRESS.fullmatch(text)
    if match is None or match["path"] or match["query"]:
        message = "expected an origin such as https://hooks.example.org or http://10.0.0.7:8080"
        raise ValueError(message)
    return _canonical_origin(match)


def _canonical_origin(match: re.Match[str]) -> str:
    scheme = match["scheme"].lower()
    host = match["host"].lower()
    is_default = match["port"] in {None, {"http": "80", "https": "443"}[scheme]}
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{match['port']}"


class Webhooks(_Settings):
    """Allowed addresses of MLflow's webhooks: scheme, host and port of the receivers."""

    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()

    def canonical(self, address: str) -> str:
        """Return the address of a webhook in canonical form.

        Raises:
            BadInput: The address is ambiguous, or its origin is not allowed.
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            expected = "https://HOST/PATH, without a user name, a fragment or spaces"
            raise BadInput("webhook", "has an ambiguous address", expected=expected)
        origin = _canonical_origin(match)
        if origin not in self.origins:
            listed = f"one of {', '.join(self.origins)}" if self.origins else "none is allowed"
            fix = "the user who runs the server adds it to webhooks.origins in alerts.yaml"
            raise BadInput(f"webhook at {origin}", "is not allowed", expected=listed, fix=fix)
        return f"{origin}{match['path'] or '/'}{match['query'] or ''}"


class Alerts(_Settings):
    """Routes of alerts."""

    urls: tuple[SecretStr, ...] = ()
    on: tuple[Kind, ...] = KINDS
    quarantine_share: float = Field(default=0.2, ge=0.0, le=1.0)
    # s; long evaluations log nothing for minutes
    stalled_after: float = Field(default=1800.0, gt=0.0, le=31_536_000.0)
    routes: tuple[Route, ...] = ()
    webhooks: Webhooks = Webhooks()

    def receivers(self, note: Mapping[str, str]) -> dict[str, SecretStr]:
        """Return the addresses of an alert by their public names."""
        default = Route(urls=self.urls, on=self.on)
        urls = [url for route in (default, *self.routes) if route.takes(note) for url in route.urls]
        return {name: url for name, url in self.named() if url in urls}

    def named(self) -> Iterator[tuple[str, SecretStr]]:
        """Yield all addresses with public names, number and kind."""
        urls = dict.fromkeys([*self.urls, *(url for route in self.routes for url in route.urls)])
        for number, url in enumerate(urls, start=1):
            kind = _SCHEME.match(url.get_secret_value())
            yield f"#{number} {kind[1] if kind else 'address'}", url


def settings_file(home: Home) -> Path:
    """Return the path of the routes of alerts, whether there is such a file or not."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else home.root / "alerts.yaml"


def settings(home: Home) -> Alerts | None:
    """Read the routes of alerts; None without a file.

    Raises:
        BadInput: The file is missing or invalid; the message contains no address.
    """
    named = os.environ.get(VARIABLE)
    path = settings_file(home)
    if not path.is_file():
        if named:
            raise BadInput(
                f"{VARIABLE}={named}", "is not there", fix="create it, or unset the variable"
            )
        return None
    document = read_yaml(path)
    try:
        return Alerts.model_validate(document.value or {})
    except ValidationError as error:
        message = [
            f"line {document.line(item['loc'])}, {'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_context=False)
        ]
        raise BadInput(path, "; ".join(message), expected="see docs/operations.md") from None


@dataclass(frozen=True)
class Alert:
    """An event with its message.

    Attributes:
        body: text; a function computes an expensive one, and only if the event is new.
        key: unique key of the event, equal in all processes.
        at: time of the event, s since the epoch; None: now.
        task: name of the task, or "".
        owner: user of the run, or "".
        run: id of the run that the alert links to, or "".
    """

    kind: Kind
    title: str
    body: str | Callable[[], str]
    key: str
    at: float | None = None
    task: str = ""
    owner: str = ""
    run: str = ""

    @property
    def text(self) -> str:
        """The body."""
        return self.body if isinstance(self.body, str) else self.body()

    @property
    def id(self) -> str:
        """Name of the files of the event."""
        return digest([self.kind, self.key])[:32]


def queue(home: Home, alert: Alert, pages: str) -> bool:
    """Queue an alert for delivery, once per event; return whether it is new and has receivers.

    Events from before the configuration of alerts are ignored. `pages` is the URL of Dagster's
    pages.
    """
    routes = settings(home)
    note = {"kind": alert.kind, "task": alert.task, "owner": alert.owner}
    if routes is None or not routes.receivers(note):
        return False
    now = time.time()
    at = now if alert.at is None else alert.at
    queued = any((path / f"{alert.id}.json").is_file() for path in (waiting(home), sent(home)))
    if queued or at < max(_since(home), now - OLD):
        return False
    link = f"{pages}/runs/{alert.run}" if alert.run else pages
    text = {"title": f"kinemill: {alert.title}", "body": alert.text, "link": link}
    document = {**note, **text, "made": time.time(), **_UNTRIED}
    publish_json(waiting(home) / f"{alert.id}.json", document)
    return True


_UNTRIED: Json = {"tries": {}, "next": {}, "sent": [], "dropped": []}


def folder(home: Home) -> Path:
    """Return the folder of alerts."""
    return home.root / "alerts"


def waiting(home: Home) -> Path:
    """Return the folder of alerts that are not yet sent to all receivers."""
    return folder(home) / "waiting"


def sent(home: Home) -> Path:
    """Return the folder of sent alerts, which prevents repetition."""
    return folder(home) / "told"


def _since(home: Home) -> float:
    """Return the time at which alerts were enabled in this home, s since the epoch."""
    path = folder(home) / "since.json"
    if not path.is_file():
        publish_json(path, {"since": time.time()})
    return float(read_json(path)["since"])


def begin(home: Home) -> None:
    """Record the time at which alerts were enabled."""
    _since(home)
