"""Settings that regressions on rows in task units share: `arx`, `narx`, `physics`."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from kinemill.models._layout import ModelLayout
from kinemill.task import Model, RatioOrZero, TorchModule


class RegressionModel(Model):
    """Base of settings: the penalty on weights, and channels that enter through changes alone."""

    channel_keys: ClassVar[tuple[str, ...]] = ("relative",)
    ridge: RatioOrZero = 1e-6
    """penalty on weights, relative to the rows fitted"""
    relative: list[str] | None = None
    """channels that enter through their changes alone, so that their zero does not matter; default:
    those that `learn.encoding` encodes as `relative`"""

    def terms_of(
        self, layout: ModelLayout, relative: Sequence[bool], scale: Mapping[str, object]
    ) -> TorchModule:
        """Make the `Terms`; `relative` says which columns have changes alone, (C,)."""
        raise NotImplementedError

    def network(self) -> Callable[..., TorchModule]:
        """Return the class of the network."""
        from kinemill.models.networks.regression import Regression

        return Regression

    def build_for(self, layout: ModelLayout, scale: Mapping[str, object]) -> TorchModule:
        """Make the `Regression` on the terms.

        Raises:
            BadInput: There are too many channels.
        """
        from kinemill.models.networks.lag_terms import relative_columns

        terms = self.terms_of(layout, relative_columns(layout, self.relative), scale)
        sizes = layout.history, len(layout.outputs)
        return self.network()(terms, *sizes, self.ridge, scale["output_std"])
