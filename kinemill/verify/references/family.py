"""References: families of simple models with their selected members."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.runtime.window_metrics import Predictor
from kinemill.verify.document import FamilyFacts, MemberFacts, ReferencesFacts

TIE = 0.01  # errors with a smaller relative difference count as equal
EXACT = 1e-6  # errors below this count as equal, because rows are stored in float32


@dataclass(frozen=True)
class Member:
    """A member of a family: one combination of settings.

    Attributes:
        predictor: the fitted model.
        history: rows of history.
        ridge: penalty of the regression; None for a reference without weights.
        nrmse: nRMSE on validation windows, at the horizon.
        stable: whether whole validation episodes stay finite and bounded.
        folder: folder with the member as a trained model (`kinemill.train.load_model`), which can
            be exported; None for a reference that is not a model.
    """

    predictor: Predictor
    history: int
    ridge: float | None
    nrmse: float
    stable: bool
    folder: Path | None = None

    def facts(self) -> MemberFacts:
        """Return the member without its weights."""
        model = self.folder.name if self.folder else None
        return MemberFacts(self.history, self.ridge, self.nrmse, self.stable, model)


@dataclass(frozen=True)
class Reference:
    """A family of simple models.

    Attributes:
        best: the member with the smallest error at the horizon.
        stable_member: the best member that stays bounded over whole episodes; None if none does.
    """

    best: Member
    stable_member: Member | None

    @property
    def strongest(self) -> Predictor:
        """Reference for comparisons over windows."""
        return self.best.predictor

    @property
    def stable(self) -> Predictor | None:
        """Reference for comparisons over whole episodes."""
        return self.stable_member.predictor if self.stable_member else None

    @property
    def folder(self) -> Path | None:
        """Folder of the stable member as a trained model; None if there is none."""
        return self.stable_member.folder if self.stable_member else None

    def facts(self) -> FamilyFacts:
        """Return both members without their weights."""
        stable = self.stable_member.facts() if self.stable_member else None
        return FamilyFacts(self.best.facts(), stable)


@dataclass(frozen=True)
class References:
    """All families with which a model is compared.

    Attributes:
        items: references by name, simplest first.
        left_out: omitted families, with reasons.
        chosen_on: the split on which members were selected.
        digest: digest of the published references; empty if they were not published.
    """

    items: Mapping[str, Reference]
    left_out: Mapping[str, str]
    chosen_on: str
    digest: str = ""

    @property
    def best(self) -> str:
        """The family with the smallest error at the horizon, on validation rows.

        Of families with errors that count as equal, it is the simplest.
        """
        errors = {name: item.best.nrmse for name, item in self.items.items()}
        level = (1.0 + TIE) * max(min(errors.values()), EXACT)
        return next(name for name, error in errors.items() if error <= level)

    @property
    def history(self) -> int:
        """The longest history of all references, rows."""
        predictors = [*self.predictors().values(), *self.free_run().values()]
        return max(predictor.history for predictor in predictors)

    def predictors(self) -> dict[str, Predictor]:
        """Return the references for comparisons over windows, by name."""
        return {name: item.strongest for name, item in self.items.items()}

    def free_run(self) -> dict[str, Predictor]:
        """Return the references for comparisons over whole episodes, by name, if stable."""
        return {name: item.stable for name, item in self.items.items() if item.stable is not None}

    def facts(self) -> ReferencesFacts:
        """Return all families without their weights."""
        families = {name: item.facts() for name, item in self.items.items()}
        return ReferencesFacts(
            self.best, self.chosen_on, self.digest, families, dict(self.left_out)
        )
