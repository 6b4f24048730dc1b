"""References: families of simple models, each with its selected member."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.runtime.window_metrics import Predictor
from kinemill.selection.constants import (
    EXACT,
    TIE,
)
from kinemill.selection.reference_facts import MemberFacts, ReferencesFacts
from kinemill.selection.validation_errors import CandidateErrors


@dataclass(frozen=True)
class Reference:
    """The selected member of a family of simple models.

    Attributes:
        predictor: the fitted model.
        facts: its settings, and its errors on rows left out of its fit.
        folder: folder with the member as a trained model (`kinemill.train.load_model`), which can
            be exported; None for a reference that is not a model.
    """

    predictor: Predictor
    facts: MemberFacts
    folder: Path | None = None

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        errors: CandidateErrors,
        ridge: float | None = None,
        folder: Path | None = None,
    ) -> "Reference":
        """Return a member with its errors on rows left out of its fit."""
        last = errors.by_horizon[max(errors.by_horizon)]
        model = folder.name if folder else None
        score, stable = errors.score, errors.stays_bounded
        facts = MemberFacts(predictor.history, ridge, score, last, stable, model)
        return cls(predictor, facts, folder)


@dataclass(frozen=True)
class References:
    """All families with which a model is compared.

    Attributes:
        items: references by name, simplest first.
        left_out: omitted families, with reasons.
        left_out_rows: the rows that selected the members, in words.
        digest: digest of the published references; empty if they were not published.
    """

    items: Mapping[str, Reference]
    left_out: Mapping[str, str]
    left_out_rows: str
    digest: str = ""

    @property
    def best(self) -> str:
        """The family with the smallest score; of equal ones, the simplest."""
        level = TIE * max(min(item.facts.score for item in self.items.values()), EXACT)
        return next(name for name, item in self.items.items() if item.facts.score <= level)

    @property
    def history(self) -> int:
        """The longest history of all references, rows."""
        return max(item.facts.history for item in self.items.values())

    def predictors(self) -> dict[str, Predictor]:
        """Return the references for comparisons over windows, by name."""
        return {name: item.predictor for name, item in self.items.items()}

    def free_run(self) -> dict[str, Predictor]:
        """Return the references for comparisons over whole episodes, by name, if stable."""
        return {name: item.predictor for name, item in self.items.items() if item.facts.stable}

    def facts(self) -> ReferencesFacts:
        """Return all families without their weights."""
        families = {name: item.facts for name, item in self.items.items()}
        return ReferencesFacts(
            self.best, self.left_out_rows, self.digest, families, dict(self.left_out)
        )
