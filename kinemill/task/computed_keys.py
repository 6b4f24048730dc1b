"""Keys of a channel that relate it to others: derivatives and expressions."""

from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from kinemill.task.bounds import Frequency
from kinemill.task.expressions import Expression
from kinemill.task.settings import Settings
from kinemill.task.web_overrides import LOCAL


class ComputedKeys(Settings):
    """Keys that define a channel from other channels."""

    derivative_of: str | None = Field(
        default=None, description="the channel of which this one is the time derivative"
    )
    derived: Literal["derivative"] | None = Field(
        default=None,
        description="derivative: not in logs, computed as the time derivative of the channel "
        "`of`; estimated from measurements at run time",
        exclude_if=lambda value: value is None,  # keeps the digests of tasks without it unchanged
    )
    of: str | None = Field(
        default=None,
        description="with `derived`: the channel that it is derived from",
        exclude_if=lambda value: value is None,
    )
    cutoff: Frequency | None = Field(
        default=None,
        description="with `derived`: cutoff frequency of the filter, Hz; default: a fifth of the "
        "sampling rate, at most 20 Hz",
        exclude_if=lambda value: value is None,
    )
    expression: Annotated[str | None, LOCAL] = Field(
        default=None,
        description="formula of other channels in their units, such as `torque * velocity`: not "
        "in logs, computed after resampling",
        exclude_if=lambda value: value is None,
    )

    @model_validator(mode="before")
    @classmethod
    def _derived_is_a_derivative(cls, value: object) -> object:
        if isinstance(value, dict) and "derived" in value and "of" in value:
            return {"derivative_of": value["of"], **cast(dict[str, Any], value)}
        return value

    @field_validator("expression")
    @classmethod
    def _arithmetic(cls, value: str | None) -> str | None:
        if value is not None:
            _ = Expression(value).tree
        return value

    @model_validator(mode="after")
    def _is_computed_one_way(self) -> "ComputedKeys":
        if self.derived is None and (alone := [k for k in ("of", "cutoff") if getattr(self, k)]):
            message = f"`{alone[0]}` needs `derived: derivative`"
            raise ValueError(message)
        if self.derived is None:
            return self
        if self.of is None:
            message = "`derived` needs `of`, the channel whose derivative it is"
            raise ValueError(message)
        if self.derivative_of != self.of:
            message = f"is derived from {self.of!r}, but `derivative_of` is {self.derivative_of!r}"
            raise ValueError(message)
        if self.expression is not None:
            message = "is both derived and an expression; leave one out"
            raise ValueError(message)
        return self
