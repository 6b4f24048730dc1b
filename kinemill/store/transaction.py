"""Transaction: artifacts that build on each other, published with one wait for the disk."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kinemill.store import Artifact, ArtifactRef, Json, Staged, publish_staged, stage_artifact
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home

GetOrBuild = Callable[[str, str, Mapping[str, object], Callable[[Path], Json]], Artifact]


def publish_all(
    home: Home,
    make: Callable[[GetOrBuild], Artifact],
    after: Callable[[Artifact], Sequence[Move]] = lambda _: (),
) -> Artifact:
    """Publish artifacts that depend on each other with one flush to disk.

    Args:
        home: where the store lives.
        make: requests each from a function like `get_or_build`, without the home, in the order of
            their publication, and returns the last. It is called again if another process published
            one of them first with other content.
        after: says which files are to follow the last, given that; what has no place is removed.
    """
    while True:
        staged, moves = dict[ArtifactRef, Staged](), list[Move]()

        def stage(
            stage: str,
            task: str,
            inputs: Mapping[str, object],
            build: Callable[[Path], Json],
            staged: dict[ArtifactRef, Staged] = staged,
        ) -> Artifact:
            made = stage_artifact(home, stage, task, inputs, build)
            if isinstance(made, Artifact):
                return made
            staged[made.ref] = made
            return Artifact(made.ref, made.summary, cached=False)

        try:
            last = make(stage)
            moves.extend(after(last))
            published = publish_staged(home, [*staged.values()], after=moves)
        finally:
            for one in staged.values():
                one.discard()
            for move in moves:
                move.aside.unlink(missing_ok=True)
        if [one.ref for one in published] == [*staged]:
            return last
