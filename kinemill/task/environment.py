"""The `environment` part of a task: environment of a policy, and its evaluation."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, SerializeAsAny, ValidationInfo, field_validator

from kinemill.errors import BadInput
from kinemill.registry import Registry, nearest
from kinemill.store import Json, file_digest
from kinemill.task.bounds import Count, Quantity, RatioOrZero, Seed, Steps
from kinemill.task.channels import Channel
from kinemill.task.plugins import Plugin, Settings, pick
from kinemill.task.protocols import TorchModule
from kinemill.task.settings import Problems
from kinemill.task.web_overrides import LOCAL

Range = tuple[Quantity, Quantity]


class Wrapper(Plugin):
    """Settings of an environment wrapper.

    A wrapper with `scope = "policy"` is a torch module, which training runs on all copies of the
    environment and which becomes part of the exported graph. Robots then need no extra code.

    Attributes:
        scope: `environment`: computes observations; `policy`: part of the policy; `training`:
            active during training only.
    """

    scope: ClassVar[Literal["environment", "policy", "training"]] = "environment"

    def wrap(self, environment: Any, estimates: Mapping[str, object]) -> Any:
        """Return the wrapped `gymnasium.Env`; not called for wrappers of the policy.

        Args:
            environment: the environment to wrap.
            estimates: result of `estimate`.
        """
        del environment, estimates
        raise NotImplementedError(f"wrapper {self.type} wraps no environment")

    @property
    def estimated(self) -> int:
        """Number of random-policy steps from which it estimates parameters before training."""
        return 0

    def estimate(self, observations: object) -> Mapping[str, object]:
        """Return arrays by name, from observations (N, D) of `estimated` steps."""
        del observations
        return {}

    def module(self, layout: Any, inputs: int) -> Any:
        """Return a wrapper of the policy as an `environments.graph.Adapter`, torch.

        The estimated arrays are loaded into its buffers afterwards.

        Args:
            layout: the observations and actions of the policy.
            inputs: number of outputs of the wrappers inside this one.
        """
        del layout, inputs
        raise NotImplementedError(f"wrapper {self.type} is not part of a policy")

    def image_module(self, pixels: int) -> TorchModule | None:
        """Return the computation of a policy's wrapper on an image, an `Adapter`, or None.

        Args:
            pixels: number of values of the image, flattened.
        """
        del pixels


class Trials(Settings):
    """Evaluation of a trained policy: seeded episodes that neither training nor selection used."""

    episodes: Count = 50
    """episodes of the final evaluation"""
    n_eval_episodes: Count = 10
    """episodes of each evaluation in training"""
    seed: Seed = 1_000_000
    """seed of the first episode; each further episode adds 1"""
    variant: str | None = None
    """one of `variants` to evaluate under; default: the training settings"""
    eval_variant: str | None = None
    """one of `variants` for evaluations in training, such as a fixed opponent; default: the
    training settings"""


KINDS: Registry[type["Environment"]] = Registry(
    "kinemill.policies.environments.kinds", "environment"
)
WRAPPERS: Registry[type[Wrapper]] = Registry(
    "kinemill.policies.environments.wrappers",
    "wrapper",
    own="kinemill.policies.environments.wrappers._own:OwnWrapper",
)


class Environment(Plugin):
    """Settings of every environment: time limit, wrappers, domain randomization, trials."""

    steps: Steps | None = None
    """steps after which an episode is truncated (not terminated); default: the environment's own
    limit"""
    wrappers: list[
        Annotated[SerializeAsAny[Wrapper], BeforeValidator(pick(WRAPPERS, Wrapper))]
    ] = []
    """wrappers from the innermost to the outermost, by name or with settings"""
    randomize: dict[str, Range] = {}
    """parameter: lowest and highest value, drawn at each reset"""
    variants: Annotated[dict[str, Json], LOCAL] = {}
    """name: changed settings, for evaluation"""
    dart_noise: RatioOrZero = 0.0
    """standard deviation of noise on the executed actions of an expert, as a fraction of half their
    range; logs hold the action without noise, so they show how to recover"""
    policies: Literal["separate", "shared"] | dict[str, str] = "separate"
    """networks of agents that act in turns: one each, one for all, or the name of a network by
    agent"""
    score: str | None = None
    """agent whose rewards are the return of an episode; default: the sum of all"""
    random_agents: list[str] = []
    """agents that act at random in place of the policy"""
    trials: Trials = Trials()
    """episodes in which a policy is evaluated"""

    @field_validator("wrappers")
    @classmethod
    def _the_environments_own_come_first(cls, wrappers: list[Wrapper]) -> list[Wrapper]:
        late = False
        for wrapper in wrappers:
            if late and wrapper.scope == "environment":
                raise ValueError(
                    f"{wrapper.type} computes observations and must come before all other wrappers"
                )
            late = late or wrapper.scope != "environment"
        return wrappers

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return a problem for each unknown variant that `trials` names."""
        del channels
        trials = {"variant": self.trials.variant, "eval_variant": self.trials.eval_variant}
        return [
            (("trials", field), f"unknown; {nearest(name, list(self.variants))}")
            for field, name in trials.items()
            if name is not None and name not in self.variants
        ]

    @abstractmethod
    def make(self, task: Any, *, render: bool = False) -> Any:
        """Return the bare `gymnasium.Env`, without wrappers and time limit.

        Args:
            task: the task with these settings as `environment`.
            render: whether `render()` returns images (H, W, 3) uint8.

        Raises:
            BadInput: The environment does not exist, or does not accept a setting.
        """

    def expert(self, environment: Any) -> Any:
        """Return the expert policy: an object with `reset(seed)` and `act(observation)`.

        Args:
            environment: result of `make_environment`; an expert may read more than the
                observations.

        Raises:
            BadInput: No expert exists for this kind of environment.
        """
        del environment
        raise BadInput(
            f"environment {self.type!r}",
            "has no expert",
            fix="use a trained policy with --model, or for a plant --controller",
        )

    def vectorized(self, task: Any) -> Any:
        """Return a factory of `kinemill.policies.environments.vector_env.VectorRows`, or None."""
        del task

    def sources(self) -> dict[str, Path]:
        """Return the files of the environment, except the task file, by name.

        The environment's card stores copies of them: the source of a custom class, or the exported
        model that replaces physics.

        Raises:
            BadInput: One of them does not exist.
        """
        return {}

    def at(self, folder: Path) -> "Environment":
        """Return the environment with `sources` in `folder`, if it supports that."""
        del folder
        return self

    def content(self) -> Json:
        """Return the settings with the digests of `sources` instead of their paths, for cache keys.

        Raises:
            BadInput: One of them does not exist.
        """
        files = {name: file_digest(path) for name, path in self.sources().items()}
        return {**self.at(Path()).model_dump(mode="json", by_alias=True), "files": files}

    def servos(self) -> dict[str, dict[str, float | None]]:
        """Return `kp`, `kv` and `limit` of the position servo that each action commands.

        Units are N·m/rad, N·m·s/rad and N·m, by action; empty if actions command no servos. An
        exported policy includes them, because it depends on the gains.
        """
        return {}

    def lineage(self) -> dict[str, str]:
        """Return the kinemill artifacts of the environment, such as a dynamics model."""
        return {}


def as_environment(value: object) -> object:
    """Read `CartPole-v1` as a Gymnasium id, and `module:Class` or `file.py:Class` as a class."""
    if not isinstance(value, str):
        return value
    kind, key = ("python", "path") if ":" in value else ("gymnasium", "id")
    return {"type": kind, key: value}


def pick_environment(value: object, info: ValidationInfo) -> Environment | None:
    """Return the environment of a task file, or None."""
    if value is None:
        return None
    return pick(KINDS, Environment)(as_environment(value), info)
