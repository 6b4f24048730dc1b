"""Choose which model a run registers: the trained one, or the best reference.

Both are measured on the validation split with the comparison that the gate makes on the test split.
The trained model is chosen where it is significantly better at the horizon, and significantly worse
nowhere that counts. Otherwise the reference is published as a model of its own, and the stages that
follow export, verify and register it like any other. The trained model stays in the store.
"""

from dataclasses import dataclass
from pathlib import Path

from kinemill.formats import Format
from kinemill.home import Home
from kinemill.spec.ports import Progress, Silence
from kinemill.spec.task import Task
from kinemill.store import Json, Outcome, Ref, once, open_ref, publish_json, read_json

STAGE, VERSION = "selection", 1
DOCUMENT = "selection.json"
FORMAT = Format("selection", 1)


@dataclass(frozen=True)
class Selection:
    """Which model a run goes on with, and why.

    Attributes:
        model: the chosen model: the trained one, or a reference published as a model.
        trained: the trained model.
        reference: name of the reference that was chosen; None: the trained model was.
        why: one sentence.
        document: selection.json, with every comparison.
    """

    model: Ref
    trained: Ref
    reference: str | None
    why: str
    document: Json

    @property
    def chosen(self) -> str:
        """`trained`, or the name of the reference."""
        return self.document["chosen"]

    def rows(self) -> list[Json]:
        """Return the comparisons as rows of a table: the ratio of the errors, with its interval."""
        against = self.document["comparison"] or {"horizons": {}}
        return [
            {
                "steps": horizon,
                "of": name,
                "trained": one["error"],
                "reference": one["reference"],
                "ratio": one["ratio"],
                "95 %": one["interval"],
            }
            for horizon, found in against["horizons"].items()
            for name, one in {"nrmse": found["nrmse"], **found["channels"]}.items()
        ]


def load_selection(home: Home, ref: Ref) -> Selection:
    """Return a published selection.

    Raises:
        CorruptArtifact: it is gone or damaged.
    """
    path = open_ref(home, ref) / DOCUMENT
    found = FORMAT.open(path, read_json(path))
    return Selection(
        model=Ref.from_json(found["model"]),
        trained=Ref.from_json(found["trained"]),
        reference=found["reference"],
        why=found["why"],
        document=found,
    )


def select(
    task: Task,
    home: Home,
    model: Ref,
    dataset: Ref,
    references: Ref,
    progress: Progress | None = None,
) -> Outcome:
    """Publish which model a run goes on with: the trained one, or the best reference.

    Args:
        task: its `promote` part says what counts.
        home: where the refs lie.
        model: the trained model.
        dataset: its validation split is what both are measured on.
        references: see `kinemill.verify.references`.
        progress: hears which one was chosen.

    Returns:
        The outcome `selection`; `load_selection` reads it.
    """
    counted = ("allow_reference", "channels", "horizons", "interval", "margin", "metric")
    inputs = {
        "model": model.digest,
        "dataset": dataset.digest,
        "references": references.digest,
        "promote": task.promote.model_dump(mode="json", include=set(counted)),
        "verify": task.verify.model_dump(mode="json", include={"horizon", "stride"}),
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        from kinemill.verify.candidates import choose

        found = choose(task, home, model, dataset, references)
        publish_json(folder / DOCUMENT, FORMAT.stamp(found))
        return {name: found[name] for name in ("chosen", "why")}

    outcome = once(home, STAGE, task.name, inputs, build)
    (progress or Silence()).say(f"{outcome.summary['chosen']}: {outcome.summary['why']}")
    return outcome
