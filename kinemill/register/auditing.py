"""Who made which version champion, when, from which one, and why; and what nobody wrote down."""

from dataclasses import asdict

from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.register.switching import MOVES, Event, trail
from kinemill.register.versions import CHAMPION, aliases_of
from kinemill.store import Json
from kinemill.tracking import open_tracking


def audit(home: Home, task: str) -> Json:
    """Return the audit trail of a task.

    Returns:
        task, champion, `events` (the oldest first: at, who, what, version, before, why), and
        `gaps`: places where the champion moved without an event, as another MLflow client does it.

    Raises:
        BadInput: nothing was registered yet.
    """
    if not home.has_registry:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    tracking = open_tracking(home)
    events, champion = trail(tracking, task), aliases_of(tracking, task).get(CHAMPION)
    if not events and champion is None:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    return {
        "task": task,
        "champion": champion,
        "events": [asdict(event) for event in events],
        "gaps": gaps(events, champion),
    }


def gaps(events: list[Event], champion: int | None) -> list[str]:
    """Say where the champion was moved by somebody who wrote nothing down."""
    found, reigns = list[str](), None
    for event in events:
        if reigns is not None and event.before != reigns:
            found.append(f"before {event.at}: {_moved(reigns, event.before)}")
        reigns = event.version if event.what in MOVES else event.before
    if events and reigns != champion:
        found.append(f"since {events[-1].at}: {_moved(reigns, champion)}")
    return found


def _moved(before: int | None, after: int | None) -> str:
    names = [f"version {number}" if number else "none" for number in (before, after)]
    return f"the champion went from {names[0]} to {names[1]} by other hands than kinemill's"
