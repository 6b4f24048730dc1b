"""What was chosen of each family of references, and the facts it was chosen by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.runtime.window_metrics import Predictor
from kinemill.store import Json

TIE = 0.01  # relative difference of two errors that chooses nothing
EXACT = 1e-6  # an nrmse that is as good as none: rows are kept in float32


@dataclass(frozen=True)
class Member:
    """One setting of a family.

    Attributes:
        predictor: that can be rolled out.
        settings: what makes it this one: history, ridge.
        nrmse: on validation windows, at the horizon.
        stable: whether whole validation episodes stay finite and bounded.
        folder: of the same as a trained model (`kinemill.train.load_model`), to be exported; None
            for a reference that is no model.
    """

    predictor: Predictor
    settings: Mapping[str, float]
    nrmse: float
    stable: bool
    folder: Path | None = None

    def to_json(self) -> Json:
        """Return the facts."""
        model = self.folder.name if self.folder else None
        facts = {"validation_nrmse": self.nrmse, "stable": self.stable, "model": model}
        return {**self.settings, **facts}


@dataclass(frozen=True)
class Reference:
    """A family of simple models.

    Attributes:
        name: of the family.
        best: the member with the smallest error at the horizon.
        stable_member: the best member whose whole-episode rollouts stay bounded; None if none does.
    """

    name: str
    best: Member
    stable_member: Member | None

    @property
    def strongest(self) -> Predictor:
        """What a model is compared with over windows."""
        return self.best.predictor

    @property
    def stable(self) -> Predictor | None:
        """What a model is compared with over whole episodes."""
        return self.stable_member.predictor if self.stable_member else None

    @property
    def folder(self) -> Path | None:
        """The stable member as a trained model, to be exported; None: there is none."""
        return self.stable_member.folder if self.stable_member else None

    def to_json(self) -> Json:
        """Return how it was chosen."""
        stable_member = self.stable_member.to_json() if self.stable_member else None
        return {"strongest": self.best.to_json(), "stable": stable_member}


@dataclass(frozen=True)
class References:
    """All families that a model is compared with.

    Attributes:
        items: by name, simplest first.
        left_out: families that are no reference here, and why.
        chosen_on: the split that members were chosen on.
        digest: of what was published; empty if it was not.
    """

    items: Mapping[str, Reference]
    left_out: Mapping[str, str]
    chosen_on: str
    digest: str = ""

    @property
    def best(self) -> str:
        """The family with the smallest error at the horizon, on validation rows.

        Of errors that are all but the same, that of the simplest family.
        """
        errors = {name: item.best.nrmse for name, item in self.items.items()}
        level = (1.0 + TIE) * max(min(errors.values()), EXACT)
        return next(name for name, error in errors.items() if error <= level)

    @property
    def history(self) -> int:
        """The longest history that one of them knows, rows."""
        every = [*self.predictors().values(), *self.free_run().values()]
        return max(one.history for one in every)

    def predictors(self) -> dict[str, Predictor]:
        """Return what models are compared with over windows."""
        return {name: item.strongest for name, item in self.items.items()}

    def free_run(self) -> dict[str, Predictor]:
        """Return what models are compared with over whole episodes: where a family has one."""
        return {name: item.stable for name, item in self.items.items() if item.stable is not None}

    def to_json(self) -> Json:
        """Return how they were chosen."""
        return {
            "best": self.best,
            "chosen_on": self.chosen_on,
            "digest": self.digest,
            "families": {name: item.to_json() for name, item in self.items.items()},
            "left_out": dict(self.left_out),
        }


def smallest(members: list[Any]) -> Any:
    """Return the member with the smallest error."""
    return min(members, key=lambda member: member.nrmse)
