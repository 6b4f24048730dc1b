"""Settings of layers that several architectures share."""

from typing import Annotated, Literal

from pydantic import Field

Activation = Literal["tanh", "silu", "elu", "relu", "leaky_relu", "gelu", "sigmoid"]

Dropout = Annotated[
    float, Field(ge=0.0, lt=1.0, description="probability of dropping a hidden value in training")
]
Bias = Annotated[bool, Field(description="whether linear layers have a bias")]
LayerNorm = Annotated[bool, Field(description="whether hidden values are normalized in each row")]
