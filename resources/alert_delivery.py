"""Alert delivery in a separate process: `python -m kinemill_dagster.resources.alert_delivery HOME`.

A slow or unreachable receiver does not delay others: every call has a time limit. A failed alert is
retried later and dropped after `TRIES` attempts or a day, with a line in `alerts/alerts.log`. An
attempt is recorded before the call, so a kill cannot cause endless attempts. An alert is sent twice
only if its receiver accepted it after the time limit.
"""

import logging
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from kinemill.errors import KinemillError
from kinemill.store import Json, publish_json, read_json
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill_dagster.resources.alerts import OLD, Alerts, folder, sent, settings, waiting
from kinemill_dagster.resources.processes import start_module

TRIES = 5
FIRST_WAIT = 30.0  # s after the first failure; doubled after each: 30 s, 1, 2, 4 min
LIMIT = 15.0  # s for one call; a slow connection has no other limit
_STALE = 86400.0  # s; older alerts are dropped even without an attempt


class _Busy(Exception):
    pass


def deliver(home: Home) -> None:
    """Start the process that sends pending alerts, if any, without waiting for it."""
    if not _pending(home):
        return
    module = ["kinemill_dagster.resources.alert_delivery", str(home.root)]
    start_module(module, subprocess.DEVNULL)


def _pending(home: Home) -> list[Path]:
    """Return the alerts to send now, oldest first."""
    now = time.time()
    pending = list[tuple[float, Path]]()
    for path in waiting(home).glob("*.json"):
        note = read_json(path)
        if not note["next"] or min(note["next"].values()) <= now:
            pending.append((note["made"], path))
    return [path for _, path in sorted(pending)]


def send_due(home: Home) -> None:
    """Send pending alerts to their receivers, in one process at a time."""

    def refuse(_who: str) -> None:
        raise _Busy

    try:
        with lock(home, "alerts", refuse):
            _forget_old(home)
            alerts = settings(home)
            failing = set[str]()
            for path in _pending(home):
                _send_alert(home, path, alerts or Alerts(), failing)
    except _Busy:
        return


def _send_alert(home: Home, path: Path, alerts: Alerts, failing: set[str]) -> None:
    """Send one alert to its remaining receivers; skip receivers that just failed."""
    note = read_json(path)
    receivers = alerts.receivers(note)
    stale = time.time() - note["made"] > _STALE
    for name, url in receivers.items():
        if name in note["sent"] or name in note["dropped"]:
            continue
        if note["tries"].get(name, 0) >= TRIES or stale:
            note["dropped"].append(name)
            _log(
                home,
                f"{note['title']!r} dropped for {name} after {note['tries'].get(name, 0)} tries",
            )
        elif name not in failing and note["next"].get(name, 0.0) <= time.time():
            _try(home, path, note, (name, url), failing)
    open_ = [name for name in receivers if name not in [*note["sent"], *note["dropped"]]]
    publish_json(path, note)
    if not open_:
        publish_json(sent(home) / path.name, note)
        path.unlink()


def _try(
    home: Home, path: Path, note: Json, receiver: tuple[str, SecretStr], failing: set[str]
) -> None:
    name, url = receiver
    tries = note["tries"].get(name, 0)
    note["tries"][name] = tries + 1
    note["next"][name] = time.time() + FIRST_WAIT * 2**tries
    publish_json(path, note)
    if why := send(url, note):
        failing.add(name)
        _log(home, f"{note['title']!r} not sent to {name}, try {tries + 1} of {TRIES}: {why}")
    else:
        note["sent"].append(name)
        del note["next"][name]


def send(url: SecretStr, note: Json, limit: float = LIMIT) -> str | None:
    """Send one alert to one address.

    The timeout `limit`, s, requires the main thread of a process. It returns the reason of a
    failure, without the address; None if it was accepted.
    """
    import apprise

    logging.getLogger("apprise").setLevel(
        logging.CRITICAL + 1
    )  # the message would contain the address
    target = apprise.Apprise()
    if not target.add(url.get_secret_value()):
        return "apprise does not support this address"
    body = f"{note['body']}\n{note['link']}".strip()
    kind = apprise.NotifyType.INFO if note["kind"] == "test" else apprise.NotifyType.WARNING

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        is_sent = target.notify(body=body, title=note["title"], notify_type=kind)
    except TimeoutError:
        return f"no response within {limit:g} s"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
    return None if is_sent else "it does not respond, or refuses"


def _forget_old(home: Home) -> None:
    """Delete records of sent alerts that are too old for a repetition."""
    for path in sent(home).glob("*.json"):
        if time.time() - path.stat().st_mtime > 2 * OLD:
            path.unlink(missing_ok=True)


def _log(home: Home, line: str) -> None:
    file = folder(home) / "alerts.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")


if __name__ == "__main__":
    where = Home(Path(sys.argv[1]))
    try:
        send_due(where)
    except KinemillError as error:
        _log(where, str(error))
        sys.exit(error.exit_code)
