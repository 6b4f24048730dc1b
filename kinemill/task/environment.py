"""The `environment` part of a task: what a policy acts in, and how it is tried there."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    field_validator,
)

from kinemill.errors import BadInput
from kinemill.registry import Registry, nearest
from kinemill.task.plugins import Plugin, Settings, pick
from kinemill.task.web_overrides import LOCAL

Range = tuple[float, float]


class Wrapper(Plugin):
    """Settings of a wrapper around an environment, and how to put it on.

    What a wrapper of the policy does to observations or actions a deployed policy has to do as
    well: it says how, in torch, so that it becomes a part of the exported graph. Trials and robots
    know nothing of it.

    Attributes:
        place: `environment`: it makes what a policy sees; `policy`: it is a part of the policy;
            `training`: it changes what is learned from, and is gone afterwards.
    """

    place: ClassVar[Literal["environment", "policy", "training"]] = "environment"

    @abstractmethod
    def wrap(self, environment: Any, known: Mapping[str, Any]) -> Any:
        """Return the `gymnasium.Env` with this around it.

        Args:
            environment: what it goes around.
            known: what `estimate` returned.
        """

    @property
    def estimated(self) -> int:
        """From how many steps of a random policy it estimates something before training."""
        return 0

    def estimate(self, observations: Any) -> dict[str, Any]:
        """Return arrays by name, from observations (N, D) of `estimated` steps."""
        del observations
        return {}

    def module(self, layout: Any, inputs: int) -> Any:
        """Return a wrapper of the policy as a `kinemill.environments.graph.Adapter`, torch.

        What was estimated is loaded into it afterwards, as its buffers.

        Args:
            layout: what the policy sees and gives.
            inputs: how many numbers come out of the wrappers inside of this one.
        """
        del layout, inputs
        raise NotImplementedError(f"wrapper {self.type} is no part of a policy")


class Trials(Settings):
    """How a trained policy is tried: seeded episodes, never those it was trained or chosen by."""

    episodes: PositiveInt = Field(default=50, description="of the final evaluation")
    watched: PositiveInt = Field(default=10, description="of each evaluation during training")
    seed: NonNegativeInt = Field(
        default=1_000_000, description="of the first start; the others follow, one by one"
    )
    variant: str | None = Field(
        default=None, description="which of `variants` it is tried under; default: as it learned"
    )


KINDS: Registry[type["Environment"]] = Registry("kinemill.environments.kinds", "environment")
WRAPPERS: Registry[type[Wrapper]] = Registry("kinemill.environments.wrappers", "wrapper")


def _pick_wrapper(value: Any, info: Any) -> Wrapper:
    """Make a wrapper from its name or its settings."""
    return pick(WRAPPERS, Wrapper)({"type": value} if isinstance(value, str) else value, info)


class Environment(Plugin):
    """What every environment has: a limit of time, wrappers, what is drawn anew, trials."""

    steps: PositiveInt | None = Field(
        default=None,
        description="after so many steps an episode is cut off, which is no end of its own; "
        "default: as the environment says",
    )
    wrappers: list[Annotated[SerializeAsAny[Wrapper], BeforeValidator(_pick_wrapper)]] = Field(
        default=[], description="from the innermost one outwards, by name or with settings"
    )
    randomize: dict[str, Range] = Field(
        default={}, description="a parameter: lowest and highest value, drawn at each reset"
    )
    variants: Annotated[dict[str, dict[str, Any]], LOCAL] = Field(
        default={}, description="a name: settings that differ, to be tested under"
    )
    unsteady: NonNegativeFloat = Field(
        default=0.0,
        description="spread of noise on an expert's actions as demonstrations carry them out, in "
        "shares of half their range; logs hold what it chose, so they show ways back",
    )
    trials: Trials = Trials()

    @field_validator("wrappers")
    @classmethod
    def _the_environments_own_come_first(cls, wrappers: list[Wrapper]) -> list[Wrapper]:
        late = False
        for wrapper in wrappers:
            if late and wrapper.place == "environment":
                message = f"{wrapper.type} makes what a policy sees: it comes before all others"
                raise ValueError(message)
            late = late or wrapper.place != "environment"
        return wrappers

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return a variant that trials are to be under, and that is none."""
        del channels
        named = self.trials.variant
        if named is None or named in self.variants:
            return []
        return [(("trials", "variant"), f"unknown; {nearest(named, list(self.variants))}")]

    @abstractmethod
    def make(self, task: Any, *, render: bool = False) -> Any:
        """Return the bare `gymnasium.Env`, without wrappers and limit of time.

        Args:
            task: the `Task` whose `environment` this is.
            render: whether `render()` is to give pictures (H, W, 3) uint8.

        Raises:
            BadInput: there is no such environment, or a setting that it does not take.
        """

    def expert(self, environment: Any) -> Any:
        """Return who shows how it is done: with `reset(seed)` and `act(observation)`.

        Args:
            environment: as `make_environment` returns it; an expert may know more of it than it
                observes.

        Raises:
            BadInput: nobody has written one for this kind of environment.
        """
        del environment
        raise BadInput(
            f"environment {self.type!r}",
            "has no expert of its own",
            fix="name a trained policy by --model, or a --controller for a plant",
        )

    def vectorized(self, task: Any) -> Any:
        """Return a factory of copies as one `kinemill.environments.vector_env.Rows`, or None."""
        del task

    def sources(self) -> dict[str, Path]:
        """Return the files that it is made of beside the task file, by a name for each.

        They are frozen with the environment's card: the source of a class of one's own, the
        exported model that stands in for physics.

        Raises:
            BadInput: one of them is not there.
        """
        return {}

    def at(self, folder: Path) -> "Environment":
        """Return the same made of the copies of `sources` in `folder`, where that can be."""
        del folder
        return self

    def lineage(self) -> dict[str, str]:
        """Return what of kinemill's own it stands on, such as a version of a dynamics model."""
        return {}


def as_environment(value: Any) -> Any:
    """Read `CartPole-v1` as a Gymnasium id, and `module:Class` or `file.py:Class` as a class."""
    if not isinstance(value, str):
        return value
    kind, key = ("python", "path") if ":" in value else ("gymnasium", "id")
    return {"type": kind, key: value}


def pick_environment(value: Any, info: Any) -> Environment | None:
    """Make the environment that a task file names, if it names one."""
    if value is None:
        return None
    return pick(KINDS, Environment)(as_environment(value), info)


def named_parameters(given: Mapping[str, Any]) -> list[str]:
    """Return the names that `randomize` and `variants` of an environment's settings speak of."""
    names = set(given.get("randomize", {}))
    for variant in given.get("variants", {}).values():
        names |= set(variant)
    return sorted(names)
