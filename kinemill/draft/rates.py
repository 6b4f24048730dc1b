"""Rate of a draft: that at which the states and the commands of a log meet.

The fastest topic sets the rate, unless attitudes and positions, or the commands, are much slower:
then the rate is theirs, and faster topics are interpolated. Commands are held. The draft says which
columns another rate would keep or drop.
"""

from collections.abc import Iterable, Mapping

from kinemill.draft.column import fold_names
from kinemill.draft.constants import RATE_LONGEST, RATE_REACH, RATE_SLOW, RATE_SLOWEST_COMMAND
from kinemill.draft.table import Reason
from kinemill.ingest.name_heuristics import guess


def meet(
    steps: Mapping[str, float], rate: float | None
) -> tuple[set[str], float | None, dict[str, str], list[str]]:
    """Choose the columns of a draft and its time step by the usual steps of columns, s.

    Args:
        steps: usual step of each column, s.
        rate: rate that the user states, Hz.

    Returns:
        Columns that are used; the step of the draft, s, if it is not the fastest; reasons for the
        other columns; remarks.
    """
    guesses = {name: guess(name) for name in steps}
    commands = {name for name, meaning in guesses.items() if meaning.role == "action"}
    positions = {
        name
        for name, meaning in guesses.items()
        if meaning.what == "position" and meaning.role == "state"
    }
    fastest = min(steps.values())
    step = 1.0 / rate if rate else _meeting(steps, positions, commands, fastest)
    names = _used(steps, commands, step)
    left_out: dict[str, str] = {
        name: Reason(
            f"slower than {1.0 / (RATE_SLOW * step):.3g} Hz; a lower --rate would keep it", "rate"
        )
        for name in steps
        if name not in names
    }
    if step == fastest:
        return names, None, left_out, []
    dropped = names - _used(steps, commands, fastest)
    remark = f"runs at {1.0 / step:.4g} Hz, where states and commands meet"
    if rate:
        remark = f"runs at {rate:g} Hz, as --rate states"
    if dropped:
        topics = ", ".join(fold_names(_topics(dropped)))
        remark += f"; --rate {1.0 / fastest:.4g} would drop {topics}"
    return names, step, left_out, [remark]


def _used(steps: Mapping[str, float], commands: set[str], step: float) -> set[str]:
    """Return the columns that are not much slower than a step, s, or all commands, which are held.

    A slower command is left out next to a faster one.
    """
    names = {name for name, usual in steps.items() if usual <= RATE_SLOW * step}
    return names if names & commands else names | commands


def _meeting(
    steps: Mapping[str, float], positions: set[str], commands: set[str], fastest: float
) -> float:
    """Return the step at which the fastest position and the fastest command are used, s."""
    longest = min(RATE_REACH * fastest, max(RATE_LONGEST, fastest))
    position = min((steps[name] for name in positions), default=fastest)
    command = min((steps[name] for name in commands), default=fastest)
    step = fastest
    if RATE_SLOW * fastest < position <= longest:
        step = position
    if RATE_SLOWEST_COMMAND * fastest < command <= longest:
        step = max(step, command)
    return step


def _topics(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in sorted(names)))
