"""`kinemill admin alerts`: list the receivers and the queue, or send a test alert."""

from collections.abc import Callable
from typing import Any

import typer

from kinemill.cli.output import JsonOption, document, notify, table
from kinemill.store import Home, Json, read_json

_FAILED = 1
_HOW = "alerts are off: create alerts.yaml in the home, see docs/operations.md"


def list_receivers(as_json: JsonOption = False) -> None:
    """List the receivers of alerts and the number sent.

    Alerts report failures, refusals and drift.

    Example: kinemill admin alerts list
    """
    _report(_waiting, as_json=as_json)


def send_test(as_json: JsonOption = False) -> None:
    """Send a test alert to every receiver.

    The exit code is 1 if a receiver was not reached.

    Example: kinemill admin alerts test
    """
    _report(_test, as_json=as_json)


def _report(lines_of: Callable[..., list[Json]], *, as_json: bool) -> None:
    from kinemill.api.project import project

    home = Home.resolve()
    settings = project("resources.alerts").settings(home)
    if settings is None:
        notify(_HOW)
        raise typer.Exit(_FAILED)
    lines = lines_of(home, settings)
    if as_json:
        document({"home": str(home.root), "receivers": lines})
    else:
        columns = list(lines[0]) if lines else []
        table("alerts", columns, [[line[name] for name in columns] for line in lines])
    if any(line.get("sent") is False for line in lines):
        raise typer.Exit(_FAILED)


def _test(home: Home, settings: Any) -> list[Json]:
    """Send one alert to each receiver in turn."""
    from kinemill.api.project import project

    note = {
        "kind": "test",
        "title": "kinemill: a test",
        "body": f"alerts of {home.root.name} work",
        "link": "",
    }
    lines: list[dict[str, Any]] = []
    for name, url in settings.named():
        why = project("resources.alert_delivery").send(url, note)
        lines.append({"receiver": name, "sent": why is None, "why": why or ""})
    return lines


def _waiting(home: object, settings: Any) -> list[Json]:
    """Return the number of queued, sent and dropped alerts by receiver."""
    from kinemill.api.project import project

    queue = project("resources.alerts")
    waiting = [read_json(path) for path in queue.waiting(home).glob("*.json")]
    notes = [*waiting, *(read_json(path) for path in queue.sent(home).glob("*.json"))]
    return [
        {
            "receiver": name,
            "waiting": sum(name not in [*note["sent"], *note["dropped"]] for note in waiting),
            "sent": sum(name in note["sent"] for note in notes),
            "dropped": sum(name in note["dropped"] for note in notes),
        }
        for name, _ in settings.named()
    ]
