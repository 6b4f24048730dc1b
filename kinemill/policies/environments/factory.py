"""From the `environment` part of a task to a `gymnasium.Env`, wrapped and with a limit of time."""

from collections.abc import Mapping
from contextlib import ExitStack, closing

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env, Options, Reset, Space, Transition
from kinemill.registry import nearest, require_known
from kinemill.task.document import Task
from kinemill.task.environment import Environment, Range

_STREAM = 11  # a separate random stream for each episode's seed
LONGEST = 100_000  # steps of an episode that nothing limits: a quarter of an hour at 100 Hz


def environment_of(task: Task, variant: str | None = None) -> Environment:
    """Return the `environment` part of a task, with the settings that a variant changes.

    Raises:
        BadInput: it has none, or no such variant.
    """
    if task.environment is None:
        where = task.path or f"task {task.name}"
        raise BadInput(where, "names no environment", expected="an `environment` part")
    if variant is None:
        return task.environment
    require_known(variant, task.environment.variants, f"variant {variant!r}", "unknown")
    update = {
        name: value
        for name, value in task.environment.variants[variant].items()
        if name in type(task.environment).model_fields
    }
    return task.environment.model_copy(update=update)


def make_environment(task: Task, *, render: bool = False, variant: str | None = None) -> Env:
    """Return the environment of a policy: with a time limit, and parameters drawn at each reset.

    Observations and actions of other spaces are flattened, see `native.standard_spaces`. With
    `render`, `render()` gives pictures (H, W, 3) uint8.

    Raises:
        BadInput: there is no such environment or variant, or a setting that it does not take.
    """
    from kinemill.policies.environments.native import standard_spaces

    settings = environment_of(task, variant)
    with ExitStack() as on_failure:
        environment = settings.make(task, render=render)
        on_failure.callback(environment.close)
        environment = _with_turns(environment, settings)
        drawn, fixed = _parameters(settings, variant)
        if drawn or fixed:
            environment = DomainRandomization(environment, drawn, fixed)
        environment = limited(environment, settings.steps, f"environment of {task.name}")
        for wrapper in settings.wrappers:
            if wrapper.scope == "environment":
                environment = wrapper.wrap(environment, {})
        environment = standard_spaces(environment)
        on_failure.pop_all()
    return environment


def action_space_of(task: Task) -> Space:
    """Return the space of the actions in the environment of a task.

    Raises:
        BadInput: as `make_environment`.
    """
    with closing(make_environment(task)) as environment:
        return environment.action_space


def _with_turns(environment: Env, settings: Environment) -> Env:
    """Return an environment of one policy where agents act in turns; others unchanged.

    Raises:
        BadInput: A setting or wrapper does not fit.
    """
    from kinemill.policies.environments.turns import TurnEnv, is_turn_based

    if is_turn_based(environment):
        late = [wrapper.type for wrapper in settings.wrappers if wrapper.scope != "environment"]
        if late:
            where = f"environment.wrappers: {late[0]}"
            fix = "leave it out, or do the same in the environment"
            raise BadInput(where, "does not work where agents act in turns", fix=fix)
        return TurnEnv(environment, settings.policies, settings.score, settings.random_agents)
    for name in ("policies", "score", "random_agents"):
        if getattr(settings, name) != type(settings).model_fields[name].get_default(
            call_default_factory=True
        ):
            where = f"environment.{name}"
            expected = "agents that act in turns"
            raise BadInput(where, "the environment has a single agent", expected=expected)
    return environment


def _parameters(
    settings: Environment, variant: str | None
) -> tuple[dict[str, Range], dict[str, object]]:
    """Return the parameters that are drawn, with their ranges, and those that are set."""
    fixed = {
        name: value
        for name, value in (settings.variants[variant] if variant else {}).items()
        if name not in type(settings).model_fields
    }
    drawn = {name: ends for name, ends in settings.randomize.items() if name not in fixed}
    return drawn, fixed


def limited(environment: Env, steps: int | None, named: str) -> Env:
    """Return an environment whose episodes end.

    None for `steps` stands for the limit of the environment.
    """
    if steps is not None:
        return TimeLimit(environment, steps)
    return environment if _has_limit(environment) else Ending(environment, named)


def _has_limit(environment: object) -> bool:
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, TimeLimit):
            return True
        environment = environment.env
    return False


class Ending(gymnasium.Wrapper[object, object, object, object]):
    """Raises an error if an episode does not end within `LONGEST` steps."""

    def __init__(self, env: Env, named: str) -> None:
        super().__init__(env)
        self._named = named
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        self._steps = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Go one step on.

        Raises:
            BadInput: it is one too many.
        """
        if self._steps == LONGEST:
            raise BadInput(
                self._named,
                f"an episode has no end: {LONGEST:,} steps, and nothing limits it",
                fix="set environment.steps, after which an episode is cut off",
            )
        self._steps += 1
        return self.env.step(action)


class DomainRandomization(gymnasium.Wrapper[object, object, object, object]):
    """Domain randomization: draws parameters at each reset; a seeded reset determines them.

    The method `vary(parameters)` of the environment is called before each reset. Without it the
    parameters are attributes, such as `length` and `masspole` of Gymnasium's cart-pole.

    Args:
        env: the environment.
        drawn: lowest and highest value of each random parameter.
        fixed: value of each fixed parameter.

    Raises:
        BadInput: The environment has no such parameter.
    """

    def __init__(
        self,
        env: Env,
        drawn: Mapping[str, tuple[float, float]],
        fixed: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(env)
        self._drawn, self._fixed = dict(drawn), dict(fixed or {})
        self._random = np.random.default_rng(0)
        self._has_vary = hasattr(env.unwrapped, "vary")
        for name in () if self._has_vary else (*self._drawn, *self._fixed):
            if not isinstance(getattr(env.unwrapped, name, None), int | float):
                names = [key for key, value in vars(env.unwrapped).items() if is_number(value)]
                where = f"environment.randomize, variants: {name}"
                raise BadInput(where, "is no number of the environment", fix=nearest(name, names))

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Draw the parameters and start an episode."""
        if seed is not None:
            self._random = np.random.default_rng([seed, _STREAM])
        values = {
            name: float(self._random.uniform(low, high))
            for name, (low, high) in self._drawn.items()
        }
        values |= self._fixed
        if self._has_vary:
            self.env.unwrapped.vary(values)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            for name, value in values.items():
                setattr(self.env.unwrapped, name, value)
        return self.env.reset(seed=seed, options=options)


def is_number(value: object) -> bool:
    """Return whether a value can be a parameter: a number, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
