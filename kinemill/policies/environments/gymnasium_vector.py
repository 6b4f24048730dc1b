"""The vectorized form that a Gymnasium environment registers itself, as `VectorRows`.

A learner starts the next episode of a row in the step that ends the last one, and needs the last
observation for the value of a truncated episode. How a row is reset depends on the vector
environment:

| its state | autoreset mode | how |
|---|---|---|
| in arrays with one entry per copy | any | other copies are reset, their entries are copied |
| elsewhere | `SAME_STEP` | it does so itself; the last observation is `final_obs` |
| elsewhere | `DISABLED` | `reset` with the option `reset_mask` |
| elsewhere | `NEXT_STEP` | impossible: the step after the last one ignores the action of that row |

Gymnasium's own vector environments are of the first kind, with `NEXT_STEP`. Only there does each
row have its own seed and randomized parameters.

Symbols: B rows, D numbers observed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from kinemill.policies.environments.domain_randomization import is_number
from kinemill.policies.environments.gym_types import Space, VectorEnv
from kinemill.policies.environments.vector_env import EpisodeRows, Moved, VectorRows

_logger = logging.getLogger(__name__)
_TRIAL_ROWS = 3
_TRIAL_STEPS = 12
_SEEDS = 2**31
_STOCK = 16  # starts of a row that one reset makes: a reset with a seed is slow

MakeVector = Callable[[int], VectorEnv]
Ranges = Mapping[str, tuple[float, float]]
Entries = dict[str, NDArray[np.generic]]  # of one copy, by attribute
Infos = Mapping[str, Any]
Stepped = tuple[
    NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Infos
]


def vector_rows(
    name: str, arguments: Mapping[str, object], steps: int | None, randomize: Ranges
) -> Callable[[int], VectorRows] | None:
    """Return a factory of B rows by the `vector_entry_point` of an id; None without one.

    Also None if the vector environment lacks a feature of the ordinary one; the log states the
    reason.

    Args:
        name: id of a registered environment; `module:Name-v0` is registered by the module.
        arguments: of the constructor.
        steps: of an episode; None: as registered.
        randomize: lowest and highest value of parameters that each episode draws.
    """
    spec = gymnasium.registry.get(name.rpartition(":")[2])
    limit = steps or (spec.max_episode_steps if spec is not None else None)
    if spec is None or spec.vector_entry_point is None or limit is None:
        return None
    settings: dict[str, Any] = {**arguments, "max_episode_steps": limit}

    def make(count: int) -> VectorEnv:
        mode = "vector_entry_point"
        return gymnasium.make_vec(name, num_envs=count, vectorization_mode=mode, **settings)

    try:
        problem, restart = _restart_of(make, randomize)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        problem = f"cannot be made: {error}"
        restart = None
    if restart is None:
        _logger.info("%s: its vectorized form is not used: %s", name, problem)
        return None
    return lambda count: GymnasiumRows(make(count), count, limit, restart())


def _restart_of(
    make: MakeVector, randomize: Ranges
) -> tuple[str, Callable[[], "Restart | None"] | None]:
    """Return a factory of row resets, or the reason why there is none."""
    with closing(make(1)) as single:
        spaces = single.single_observation_space, single.single_action_space
        inner = single.unwrapped
        mode = single.metadata.get("autoreset_mode")
        missing = [name for name in randomize if not is_number(getattr(inner, name, None))]
    if not _is_vector(*spaces):
        return f"spaces {spaces[0]} and {spaces[1]}", None
    if missing:
        return f"{missing[0]} is no number of it", None
    if not (problem := trial(make, randomize)):
        return "", lambda: Restart(make, randomize)
    if mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED) and not randomize:
        return "", lambda: None
    return problem, None


def _is_vector(observation: Space, action: Space) -> bool:
    if not isinstance(observation, Box) or len(observation.shape) != 1:
        return False
    if isinstance(action, Discrete):
        return int(action.start) == 0
    return isinstance(action, Box) and len(action.shape) == 1


class Restart:
    """Resets rows of a vector environment by copying the entries of copies that were reset.

    Args:
        make: factory of the vector environment by number of copies.
        randomize: lowest and highest value of parameters that each episode draws.
    """

    def __init__(self, make: MakeVector, randomize: Ranges) -> None:
        self._randomize = dict(randomize)
        with closing(make(2)) as two, closing(make(3)) as three:
            self._axes = row_axes(two, three) | dict.fromkeys(randomize, 0)
        self._starts = dict[int, list[tuple[NDArray[np.float32], Entries]]]()
        self._stock = make(_STOCK)
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self.prepare(self._stock, 0)
            on_error.pop_all()

    def prepare(self, vector: VectorEnv, seed: int) -> None:
        """Make all arrays of a vector environment, one value of each parameter for each row."""
        for name in self._randomize:
            setattr(vector.unwrapped, name, np.full(vector.num_envs, self._randomize[name][0]))
        _first_step(vector, seed)

    def close(self) -> None:
        """Close the copies whose starts are used."""
        self._stock.close()

    def forget(self, row: int) -> None:
        """Drop the starts that are left of a row: its random generator is another one."""
        self._starts.pop(row, None)

    def start(
        self, vector: VectorEnv, row: int, random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Start an episode in a row; return its observation (D,)."""
        if not (starts := self._starts.setdefault(row, [])):
            for name, ends in self._randomize.items():
                setattr(self._stock.unwrapped, name, random.uniform(*ends, _STOCK))
            observed, _ = self._stock.reset(seed=int(random.integers(_SEEDS)))
            starts += zip(np.array(observed, np.float32), self.entries(self._stock), strict=True)
        observation, entries = starts.pop()
        self.put(vector, row, entries)
        return observation

    def entries(self, vector: VectorEnv) -> list[Entries]:
        """Return a copy of the arrays of all rows."""
        arrays = [
            np.moveaxis(np.array(getattr(vector.unwrapped, name)), axis, 0)
            for name, axis in self._axes.items()
        ]
        return [dict(zip(self._axes, row, strict=True)) for row in zip(*arrays, strict=True)]

    def put(self, vector: VectorEnv, row: int, entries: Entries) -> None:
        """Set a row to what `entries` returned."""
        inner = vector.unwrapped
        for name, values in entries.items():
            current = getattr(inner, name)
            index = (*(slice(None),) * self._axes[name], row)
            if hasattr(current, "at"):  # JAX: arrays cannot be changed in place
                setattr(inner, name, current.at[index].set(values))
            else:
                current[index] = values


def row_axes(two: VectorEnv, three: VectorEnv) -> dict[str, int]:
    """Return the axis of the copies in each array attribute of a vector environment.

    Arrays whose size differs between `two` and `three` copies hold the state of copies.
    """
    for vector in (two, three):
        _first_step(vector)
    axes = dict[str, int]()
    for name, value in vars(three.unwrapped).items():
        shape = getattr(value, "shape", None)
        two_shape = getattr(getattr(two.unwrapped, name, None), "shape", None)
        if isinstance(value, gymnasium.Space) or not isinstance(shape, tuple) or two_shape is None:
            continue
        pairs = enumerate(zip(two_shape, shape, strict=False))
        if row_axis := [axis for axis, ends in pairs if ends == (2, 3)]:
            axes[name] = row_axis[0]
    return axes


def trial(make: MakeVector, randomize: Ranges) -> str:
    """Return why rows do not move as single copies do; empty if they do.

    Rows with different starts and parameters are compared with single copies, and change order
    halfway.
    """
    with ExitStack() as opened:
        restart = opened.enter_context(closing(Restart(make, randomize)))
        rows, *singles = (
            opened.enter_context(closing(make(count)))
            for count in (_TRIAL_ROWS, *[1] * _TRIAL_ROWS)
        )
        return _difference(restart, rows, singles)


def _difference(restart: Restart, rows: VectorEnv, singles: list[VectorEnv]) -> str:
    """Return why rows do not move as single copies do; empty if they do."""
    random = np.random.default_rng(0)
    restart.prepare(rows, 1)
    for row, single in enumerate(singles):
        restart.prepare(single, 2)
        restart.start(rows, row, random)
        restart.put(single, 0, restart.entries(rows)[row])
    order = np.arange(_TRIAL_ROWS)
    is_active = np.ones(_TRIAL_ROWS, bool)
    rows.single_action_space.seed(0)
    for step in range(_TRIAL_STEPS):
        if step == _TRIAL_STEPS // 2:
            # State outside of the arrays would stay behind in the row, and the copies would differ.
            order = np.roll(order, 1)
            for row, index in enumerate(order):
                restart.put(rows, row, restart.entries(singles[index])[0])
        actions = np.array([rows.single_action_space.sample() for _ in order])
        observed, rewards, ended, cut, infos = _step(rows, actions)
        last = _last_observations(observed, infos)
        for row, index in enumerate(order):
            expected = _step(singles[index], actions[row : row + 1])
            ours = np.array([*last[row], rewards[row], ended[row]])
            theirs = np.array(
                [*_last_observations(expected[0], expected[4])[0], expected[1][0], expected[2][0]]
            )
            if is_active[index] and not np.allclose(ours, theirs, rtol=1e-4, atol=1e-6):
                return "its state is not in arrays with one entry for each copy"
            is_active[index] &= not (ended[row] or cut[row])
    return ""


class GymnasiumRows(EpisodeRows):
    """`VectorRows` of a vector environment of Gymnasium.

    Args:
        vector: the vector environment.
        count: rows, B.
        limit: steps after which an episode is cut off.
        restart: resets rows; None: the vector environment does so itself, or its `reset`
            takes a `reset_mask`. One seed then determines the starts of all rows.
    """

    def __init__(self, vector: VectorEnv, count: int, limit: int, restart: Restart | None) -> None:
        mode = vector.metadata.get("autoreset_mode")
        self._resets_itself = restart is None and mode is AutoresetMode.SAME_STEP
        # A vector environment that resets itself cuts episodes off itself.
        most = np.inf if self._resets_itself else limit
        super().__init__(count, most, vector.single_observation_space, vector.single_action_space)
        self._vector = vector
        self._restart = restart
        if restart is not None:
            restart.prepare(vector, 0)

    def start_all(self, seeds: Sequence[int | None]) -> NDArray[np.float32]:
        """Begin an episode in each row; return observations (B, D)."""
        if self._restart is None:
            return np.array(self._vector.reset(seed=seeds[0])[0], np.float32)
        for row, seed in enumerate(seeds):
            if seed is not None:
                self._restart.forget(row)
        starts = [
            self._restart.start(self._vector, row, random)
            for row, random in enumerate(self._randoms)
        ]
        return np.stack(starts)

    def start_rows(
        self, rows: NDArray[np.int64], observations: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Begin an episode in some rows; return `observations` (B, D) with theirs."""
        if self._restart is not None:
            for row in rows.tolist():
                observations[row] = self._restart.start(self._vector, row, self._randoms[row])
        elif not self._resets_itself:
            is_done = np.isin(np.arange(self._count), rows)
            return np.array(self._vector.reset(options={"reset_mask": is_done})[0], np.float32)
        return observations

    def advance(self, actions: object) -> Moved:
        """Go one step on."""
        observed, rewards, ended, cut, infos = _step(self._vector, actions)
        return Moved(observed, rewards, ended, cut, _last_observations(observed, infos))

    def close(self) -> None:
        """Close the vector environments."""
        self._vector.close()
        if self._restart is not None:
            self._restart.close()


def _first_step(vector: VectorEnv, seed: int = 0) -> None:
    """Reset and step once, so that every array exists."""
    vector.reset(seed=seed)
    vector.action_space.seed(seed)
    vector.step(vector.action_space.sample())
    vector.reset(seed=seed)


def _step(vector: VectorEnv, actions: object) -> Stepped:
    """Step a vector environment; the result is numpy, for any array library."""
    batch = np.asarray(actions).astype(vector.action_space.dtype)
    observed, rewards, ended, cut, infos = vector.step(batch)
    return (
        np.array(observed, np.float32),
        np.asarray(rewards, np.float64),
        np.asarray(ended, bool),
        np.asarray(cut, bool),
        infos,
    )


def _last_observations(observed: NDArray[np.float32], infos: Infos) -> NDArray[np.float32]:
    """Return observations (B, D) with the last one of each episode that `SAME_STEP` ended."""
    if "final_obs" not in infos:
        return observed
    last = observed.copy()
    for row in np.flatnonzero(infos["_final_obs"]):
        last[row] = infos["final_obs"][row]
    return last
