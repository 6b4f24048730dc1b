"""A split with an empty side is refused: why it is empty, and what would fill it."""

from kinemill.dataset._split import Known, Piece, unmatched_patterns
from kinemill.errors import BadInput
from kinemill.task import Dataset, Task
from kinemill.task.stages import Tail


def check_sides(task: Task, pieces: list[Piece], known: Known | None = None) -> None:
    """Refuse a split with an empty side, saying why it is empty and what would fill it.

    Args:
        task: whose `dataset` part names the sides.
        pieces: of all episodes.
        known: what stays together, if not recordings alone.

    Raises:
        BadInput: no episodes at all, or none for training, validation or test.
    """
    rules, where = task.dataset, f"{task.path or task.name}: dataset"
    groups = known.groups if known else {}
    repeating = len(known.roots) if known else 0
    if not pieces:
        raise BadInput(where, "no episode was accepted", fix="see the reasons in quarantine")
    names = sorted(set(groups.values()) if groups else {piece.name for piece in pieces})
    what = f"values of {rules.group_by}" if groups else "recordings"
    for side in ("test", "validation", "train"):
        if any(piece.split == side for piece in pieces):
            continue
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise BadInput(
            where if side == "train" else f"{where}.{side}",
            f"{_why(rules, side, names, what)}{_with_repeats(repeating)}; the {what} are {shown}",
            expected="at least one episode in each of training, validation and test",
            fix=_fix(rules, side, names, repeating),
        )


def _with_repeats(repeating: int) -> str:
    return f" ({repeating} near-duplicates stay with what they repeat)" if repeating else ""


def _why(rules: Dataset, side: str, names: list[str], what: str) -> str:
    wanted = rules.validation if side == "validation" else rules.test
    if side == "train":
        return "nothing is left for training"
    if isinstance(wanted, Tail):
        return f"no training episode is long enough to give the last {wanted.tail:g} of it away"
    if isinstance(wanted, float):
        return f"the share {wanted:g} of {len(names)} {what} leaves it empty"
    missed = [spelled for spelled in unmatched_patterns(rules, names) if spelled.startswith(side)]
    if missed:
        return f"none of the {what} is on this side; nothing matches {', '.join(missed)}"
    return "all that its patterns match is taken by an earlier rule"


def _fix(rules: Dataset, side: str, names: list[str], repeating: int) -> str:
    by_name = f"`{side}: [{names[-1]!r}]` names them by pattern"
    if repeating and side != "train":
        return f"{by_name}; `near_duplicates: apart` if the task is the same motion over and over"
    if side == "test":
        return f"{by_name}; a share needs at least one recording for each side"
    if side == "validation" and isinstance(rules.validation, Tail):
        return f"a larger tail, a lower `validate.min_steps`, or: {by_name}"
    if side == "validation":
        return f"`validation: {{tail: 0.1}}` takes the end of every training episode; {by_name}"
    return "lower the shares, narrow the patterns, or add recordings"
