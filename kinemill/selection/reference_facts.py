"""Facts about the references of a dataset, in `verification.json` and `references.json`."""

from dataclasses import dataclass

from kinemill.store.numbers import Number


@dataclass(frozen=True)
class MemberFacts:
    """The selected member of a family of references.

    Attributes:
        history: rows of history.
        ridge: penalty of the regression; None for a reference without weights.
        score: score on rows left out of its fit, see `selection.validation_errors`.
        error: error at the horizon on these rows, in standard deviations.
        stable: whether free runs over these rows stay bounded.
        model: name of the folder with its trained model; None if it has none.
    """

    history: int
    ridge: float | None
    score: Number
    error: Number
    stable: bool
    model: str | None


@dataclass(frozen=True)
class ReferencesFacts:
    """References of a dataset.

    Attributes:
        best: the family with the smallest score.
        left_out_rows: the rows that selected the members, in words.
        digest: digest of the published artifact; empty if it was not published.
        families: the member of each family by name, simplest first.
        left_out: families that are not references here, with the reason.
    """

    best: str
    left_out_rows: str
    digest: str
    families: dict[str, MemberFacts]
    left_out: dict[str, str]
