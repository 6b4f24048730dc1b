"""`kinemill admin alerts`: list the receivers and the queue, or send a test alert."""

import typer

from kinemill.cli.output import Output, Table, notify
from kinemill.store import Home, Json, read_json

_FAILED = 1


def list_receivers() -> Output:
    """List the receivers of alerts and the number sent.

    Alerts report failures, refusals and drift.

    Example: kinemill admin alerts list
    """
    from kinemill.api.project import project

    home = Home.resolve()
    receivers = _receivers(home)
    queue = project("resources.alerts")
    waiting = [read_json(path) for path in queue.waiting(home).glob("*.json")]
    notes = [*waiting, *(read_json(path) for path in queue.sent(home).glob("*.json"))]
    lines = [
        {
            "receiver": name,
            "waiting": sum(name not in [*note["sent"], *note["dropped"]] for note in waiting),
            "sent": sum(name in note["sent"] for note in notes),
            "dropped": sum(name in note["dropped"] for note in notes),
        }
        for name in receivers
    ]
    return _output(home, ["receiver", "waiting", "sent", "dropped"], lines)


def send_test() -> Output:
    """Send a test alert to every receiver.

    The exit code is 1 if a receiver was not reached.

    Example: kinemill admin alerts test
    """
    from kinemill.api.project import project

    home = Home.resolve()
    body = f"alerts of {home.root.name} work"
    note = {"kind": "test", "title": "kinemill: a test", "body": body, "link": ""}
    send = project("resources.alert_delivery").send
    reasons = {name: send(url, note) for name, url in _receivers(home).items()}
    lines = [
        {"receiver": name, "sent": why is None, "why": why or ""} for name, why in reasons.items()
    ]
    return _output(home, ["receiver", "sent", "why"], lines)


def _receivers(home: Home) -> dict[str, object]:
    """Return the addresses of the receivers by name; exit if alerts are off."""
    from kinemill.api.project import project

    settings = project("resources.alerts").settings(home)
    if settings is None:
        notify("alerts are off: create alerts.yaml in the home, see docs/operations.md")
        raise typer.Exit(_FAILED)
    return dict(settings.named())


def _output(home: Home, columns: list[str], lines: list[Json]) -> Output:
    failed = any(line.get("sent") is False for line in lines)
    document = {"home": str(home.root), "receivers": lines}
    return Output(document, Table("alerts", columns, lines), exit_code=_FAILED * failed)
