"""The two candidates of a run, trained model and best reference: measured, compared, decided on.

Symbols: W windows, H history, T horizon, S states, A actions.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.runtime.windows import Predictor
from kinemill.spec.promoting import Promote
from kinemill.spec.task import Task
from kinemill.store import Json, Ref, digest, file_digest, once, open_ref, read_json
from kinemill.verify.accuracy import evaluate
from kinemill.verify.analysis import Comparisons, against, compare
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.free_run import free_run
from kinemill.verify.losses import FREE_RUN, GROSS, Loss, counted_horizons, losses
from kinemill.verify.references import References, load_references

SPLIT = "validation"
TRAINED = "trained"  # what `chosen` states of the trained model; else it is the name of a reference
PUBLISHED = 1  # version of how a reference is published as a model
_COUNTS = "promote.horizons and promote.channels say what counts"
NAMED = 3  # losses that a reason names


@dataclass(frozen=True)
class Trained:
    """A trained module as something that can be measured, in the precision that it is exported in.

    Attributes:
        module: with `history` and `rollout`, see `kinemill.train.load_model`.
    """

    module: Any

    @property
    def history(self) -> int:
        """Rows that it wants to know, H."""
        return self.module.history

    def rollout(self, states: Any, past_actions: Any, actions: Any) -> Any:
        """Feed back predictions: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        import torch

        given = (
            torch.from_numpy(np.array(part, dtype=np.float32))
            for part in (states, past_actions, actions)
        )
        with torch.inference_mode():
            return self.module.rollout(*given).numpy()


@dataclass(frozen=True)
class Decision:
    """Which of the two was chosen.

    Attributes:
        trained: whether the trained model was.
        why: one sentence.
        comparisons: of the trained model with the reference; None: they were not compared.
    """

    trained: bool
    why: str
    comparisons: Comparisons | None = None


def choose(task: Task, home: Home, model: Ref, dataset: Ref, references: Ref) -> Json:
    """Return the content of selection.json; a reference that is chosen is published as a model.

    Args:
        task: its `promote` part says what counts.
        home: where the refs lie.
        model: the trained model.
        dataset: its validation split is what both are measured on.
        references: one of them may be chosen.
    """
    known = load_references(home, references)
    name = exportable(known)
    found = _decide(task, home, (model, dataset), known, name)
    chosen = model
    if not found.trained and name is not None:
        chosen = publish_reference(task, home, dataset, references, name)
    return {
        "chosen": TRAINED if found.trained else name,
        "reference": None if found.trained else name,
        "why": found.why,
        "compared_with": name if found.comparisons else None,
        "split": SPLIT,
        "horizon": task.verify.horizon,
        "comparison": against({"": found.comparisons})[""] if found.comparisons else None,
        "model": chosen.to_json(),
        "trained": model.to_json(),
        "references": references.to_json(),
    }


def why_no_reference(task: Task) -> str:
    """Return why no reference can take the place of this task's model; "" where one can."""
    learn: Any = task.learn
    if not task.promote.allow_reference:
        return "promote.allow_reference is false"
    asked = {
        f"learn.ensemble: {learn.ensemble}": learn.ensemble > 1,
        f"learn.loss: {learn.loss}": learn.loss == "gaussian",
        f"learn.robots: {learn.robots}": learn.robots != "none",
    }
    return ", ".join(f"a reference cannot give {what}" for what, is_set in asked.items() if is_set)


def exportable(known: References) -> str | None:
    """Return the reference with the smallest validation error that can be a model, if any can."""
    errors = {
        name: item.lasting.nrmse
        for name, item in known.items.items()
        if item.lasting is not None and item.folder is not None
    }
    return min(errors, key=lambda name: errors[name], default=None)


def _decide(
    task: Task, home: Home, refs: tuple[Ref, Ref], known: References, name: str | None
) -> Decision:
    if why := why_no_reference(task):
        return Decision(trained=True, why=why)
    reference = known.items[name].stable if name is not None else None
    if name is None or reference is None:
        return Decision(trained=True, why="no reference of this data is stable and can be exported")
    from kinemill.train import load_model

    trained = Trained(load_model(open_ref(home, refs[0])))
    try:
        found = measure(task, load_dataset(home, refs[1]), trained, reference)
    except BadInput as error:
        why = f"it was not compared with {name}, for want of validation data: {error.found}"
        return Decision(trained=True, why=why)
    return decide(found, task.promote, task.verify.horizon, name)


def measure(
    task: Task, dataset: PackedDataset, trained: Predictor, reference: Predictor
) -> Comparisons:
    """Compare a trained model with a reference on the same validation windows and episodes.

    Raises:
        BadInput: no validation episode is long enough.
    """
    verify, history = task.verify, max(trained.history, reference.history)
    counted = {int(one) for one in counted_horizons(task.promote, verify.horizon) if one.isdigit()}
    steps = sorted(counted | {verify.horizon})
    pairs = [
        (
            evaluate(one, dataset, SPLIT, steps, verify.stride, history),
            free_run(one, dataset, SPLIT, history),
        )
        for one in (trained, reference)
    ]
    return compare(pairs[0], pairs[1], task.promote.margin)


def decide(found: Comparisons, promote: Promote, horizon: int, name: str) -> Decision:
    """Choose between a trained model and a reference.

    The trained model is chosen if it is better at the horizon by the margin and significantly, and
    significantly worse nowhere that counts: what the gate asks of it on the test split.

    Args:
        found: the trained model compared with the reference.
        promote: margin, interval, and which horizons and channels count.
        horizon: `verify.horizon`, steps.
        name: of the reference.
    """
    head = found[str(horizon)][promote.channel or NRMSE]
    if not math.isfinite(head.reference):
        return Decision(True, f"{name} is not finite on the validation split", found)
    if not math.isfinite(head.error):
        why = f"the trained model diverges within {horizon} steps, {name} does not"
        return Decision(False, why, found)
    counted = counted_horizons(promote, horizon)
    worse = losses({name: found}, counted, promote.channels)[name]
    told = f"{head.ratio:.3g} times the error of {name} {_ahead(str(horizon))}{_interval(head)}"
    better = is_better(head, promote)
    if worse:
        but = f"; it has {told}: {_COUNTS}" if better else ""
        return Decision(False, f"the trained model is {_worse(worse, name)}{but}", found)
    if better:
        return Decision(True, f"the trained model has {told}, and is worse nowhere", found)
    return Decision(False, f"the trained model is not significantly better: {told}", found)


def is_better(head: Comparison, promote: Promote) -> bool:
    """Tell whether an error is smaller by the margin, and surely so.

    With too few independent blocks there is no interval. Then the error has to be as much smaller
    as it would have to be larger to count as worse.
    """
    if not head.ratio <= 1.0 - promote.margin or head.ratio >= 1.0:
        return False
    if not promote.interval:
        return True
    return head.high < 1.0 if math.isfinite(head.high) else head.ratio < 1.0 / GROSS


def _interval(head: Comparison) -> str:
    if math.isfinite(head.low) and math.isfinite(head.high):
        return f" (95 % interval {head.low:.3g} to {head.high:.3g})"
    return " (too few validation episodes for an interval)"


def _worse(found: Sequence[Loss], name: str) -> str:
    ordered = sorted(found, key=lambda one: -one.comparison.ratio if one.comparison else -math.inf)
    told = [_place(one) for one in ordered[:NAMED]]
    more = f" and in {len(ordered) - NAMED} more comparisons" if len(ordered) > NAMED else ""
    return f"significantly worse than {name}: {', '.join(told)}{more}"


def _ahead(horizon: str) -> str:
    if horizon == FREE_RUN:
        return "over whole episodes"
    return f"{horizon} step{'s' * (horizon != '1')} ahead"


def _place(loss: Loss) -> str:
    where = _ahead(loss.horizon)
    what = "its error" if loss.channel == NRMSE else f"its error of {loss.channel}"
    if loss.comparison is None:
        return f"not measured {where}"
    if not math.isfinite(loss.comparison.ratio):
        return f"it diverges {where}"
    return f"{loss.comparison.ratio:.3g} times {what} {where}"


def publish_reference(task: Task, home: Home, dataset: Ref, references: Ref, name: str) -> Ref:
    """Publish a reference like a trained model: its description names it.

    What it is depends on the references alone, so that another margin gives the same model.
    """
    from kinemill.train import load_model
    from kinemill.train.start import DESCRIPTION, WEIGHTS

    item = load_references(home, references).items[name]
    source, lasting = item.folder, item.lasting
    if source is None or lasting is None:
        raise ValueError(f"{name} cannot be exported")
    digests = {file: file_digest(source / file) for file in (DESCRIPTION, WEIGHTS)}

    def build(folder: Path) -> Json:
        about = {**read_json(source / DESCRIPTION), "reference": name}
        (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
        shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
        return {
            "reference": name,
            "parameters": sum(value.numel() for value in load_model(folder).parameters()),
            "watched": f"{SPLIT}/nrmse",
            "best": lasting.nrmse,
        }

    inputs = {
        "dataset": dataset.digest,
        "references": references.digest,
        "reference": name,
        "files": digest(digests),
        "version": PUBLISHED,
    }
    return once(home, "model", task.name, inputs, build).ref
