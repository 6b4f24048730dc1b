"""What heads have in common that go from noise to a chunk of actions in a few steps."""

from typing import ClassVar

from pydantic import Field, PositiveInt

from kinemill.models.heads._head import Head


class Drawn(Head):
    """Settings of such a head."""

    seeded: ClassVar[bool] = True
    steps: PositiveInt = Field(
        default=8, description="from noise to actions, each asks the network once"
    )
    condition: PositiveInt = Field(default=64, description="numbers that the network is asked for")
    width: PositiveInt = 128
    layers: PositiveInt = 2
