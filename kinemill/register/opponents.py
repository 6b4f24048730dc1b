"""Which models a challenger has to beat, and with which it was compared."""

from collections.abc import Mapping

from kinemill.register.comparison import Champion, GateInputs, Paired
from kinemill.register.metric import metric_of
from kinemill.task.promote import REFERENCES, TRIVIAL
from kinemill.verify.losses import Horizons

CHAMPION = "champion"


def own_reference(contest: GateInputs) -> str | None:
    """Return the reference that the challenger is, if the task allows that.

    The gate tells it by its answers, not by its name: see `Paired.itself`.
    """
    if not contest.task.promote.allow_reference:
        return None
    known = contest.references.items()
    return next((name for name, one in known if one.itself and name not in TRIVIAL), None)


def to_beat(contest: GateInputs) -> list[str]:
    """Return who is to be beaten: `promote.beats`, champion included.

    A challenger that is a reference has to beat the trivial ones and the champion. Than the others
    it may only not be worse: it was chosen among them on validation.
    """
    rivals = metric_of(contest.task).rivals
    own = own_reference(contest)
    if own is None:
        return list(rivals)
    return [name for name in rivals if name not in REFERENCES or name in (*TRIVIAL, own)]


def is_absent(contest: GateInputs, name: str) -> bool:
    """Return whether a reference does not exist on this data, though others do."""
    others = [one for one in metric_of(contest.task).rivals if one in contest.references]
    return name in contest.absent and bool(others)


def compared(contest: GateInputs) -> dict[str, Horizons]:
    """Return the comparisons with each of `promote.beats`, champion included, at all horizons."""
    found: dict[str, Paired] = {
        name: contest.references[name]
        for name in metric_of(contest.task).rivals
        if name in contest.references and name != own_reference(contest)
    }
    return {name: one.horizons for name, one in (found | _champion(contest)).items()}


def headlines(contest: GateInputs) -> Mapping[str, Paired]:
    """Return the comparisons that a verdict stands on, by who is to be beaten."""
    found = {
        name: contest.references[name]
        for name in to_beat(contest)
        if name in contest.references and name != own_reference(contest)
    }
    return found | _champion(contest)


def _champion(contest: GateInputs) -> dict[str, Paired]:
    """Return the comparison with the champion, by its name, if it counts and was made."""
    champion = contest.champion
    if champion is None or champion.paired is None or CHAMPION not in to_beat(contest):
        return {}
    return {CHAMPION: champion.paired}


def agreed_to_break(champion: Champion, contest: GateInputs) -> bool:
    """Return whether a person approved that the interface is not the champion's."""
    return contest.approval is not None and contest.approval.breaking and bool(champion.differs)
