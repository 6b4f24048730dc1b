"""Outcomes that build on each other, published at once: each by itself waits for the disk."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kinemill.store import Json, Outcome, Ref, Staged, publish_staged, stage_outcome
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home

Once = Callable[[str, str, Mapping[str, object], Callable[[Path], Json]], Outcome]


def together(
    home: Home,
    make: Callable[[Once], Outcome],
    after: Callable[[Outcome], Sequence[Move]] = lambda _: (),
) -> Outcome:
    """Publish outcomes that build on each other at once, as each by itself waits for the disk.

    Args:
        home: where the store lives.
        make: asks for each by a function like `once`, without the home, in the order in which they
            are to be in their places, and returns the last; asked again where another process was
            faster with one and has found something else.
        after: says which files are to follow the last, given that; what has no place is removed.
    """
    while True:
        staged, moves = dict[Ref, Staged](), list[Move]()

        def stage(
            stage: str,
            task: str,
            inputs: Mapping[str, object],
            build: Callable[[Path], Json],
            staged: dict[Ref, Staged] = staged,
        ) -> Outcome:
            made = stage_outcome(home, stage, task, inputs, build)
            if isinstance(made, Outcome):
                return made
            staged[made.ref] = made
            return Outcome(made.ref, made.summary, known=False)

        try:
            outcome = make(stage)
            moves.extend(after(outcome))
            published = publish_staged(home, [*staged.values()], after=moves)
        finally:
            for one in staged.values():
                one.discard()
            for move in moves:
                move.aside.unlink(missing_ok=True)
        if [one.ref for one in published] == [*staged]:
            return outcome
