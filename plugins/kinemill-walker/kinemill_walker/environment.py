"""Environment `walker`: the legged robot of kinemill with the body of this package."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.task.bounds import PositiveQuantity
from kinemill.task.environment import KINDS
from kinemill.task.web_overrides import LOCAL

BODY = Path(__file__).with_name("biped.xml")


@KINDS.register("walker")
class WalkerEnvironment(LeggedEnvironment):
    """Settings of the biped, which differ from those of `legged` in their defaults alone."""

    type: Literal["walker"] = "walker"
    robot: Annotated[str, LOCAL] = Field(default="", description="MJCF file; default: the biped")
    fallen: PositiveQuantity | None = Field(
        default=0.13,
        description="height of the trunk's mass center below which the robot has fallen, m",
    )

    @property
    def robot_path(self) -> Path:
        """Path of the MJCF file."""
        return Path(self.robot) if self.robot else BODY
