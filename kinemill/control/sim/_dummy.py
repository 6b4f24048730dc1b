"""Synthetic logs with the channels of any task, to try the pipeline before there is data.

Actions are sums of sines; every state and its derivatives are the exact answer of a damped spring
(or, without derivatives, of a first-order lag) to one of them. In symbols, for a spring of natural
frequency w and damping d: x'' = w² (u - x) - 2 d w x'. Amplitudes stay within the limits and the
jumps that the task allows, so that every physical check passes. Four channels of a quaternion turn
about one axis, by an angle that follows an action. Observations are mixtures of the
states, a reward falls with the square of their distance from the middle. A task
with images or texts gets HDF5 files, with pictures of the states; others CSV.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim._dummy_settings import Dummy
from kinemill.control.sim._table import Table, csv
from kinemill.errors import BadInput
from kinemill.store import Json, digest, publish_file
from kinemill.task import Task, rotations

REACH = 0.7  # share of what limits and jumps leave that is used
NOISE = 1e-4  # of a sensor, over the amplitude of its signal
FEW_STEPS = 100  # optimizer steps
FEW_TRIALS = {"environment.trials.episodes": 4, "environment.trials.n_eval_episodes": 2}
SINES = 5
LOWEST = 0.1
HIGHEST = 0.8  # Hz: slow enough for every time step below 0.1 s
NATURAL = 2.0 * np.pi * 0.6
DAMPING = 0.4  # rad/s, 1
SIZE = (64, 64)  # default height and width
RADIUS = 0.12  # of the disc, over the height
GROUPS = {"action": "actions", "reward": "rewards", "image": "images"}

Floats = NDArray[np.float64]
Waves = NDArray[np.complex128]


def write_dummy_logs(task: Task, folder: Path, dummy: Dummy | None = None) -> list[Path]:
    """Write logs for a task, `dummy-0000.csv` or `.h5` and on: `time` in s, then its channels.

    Every file appears in the folder whole or not at all.

    Raises:
        BadInput: fewer rows than one window of the task has, or a task that learns without logs
            or from clips.
    """
    if not task.learn.from_logs:
        why = f"{task.name} learns in its environment, without logs"
        raise BadInput("dummy logs", why, fix=f"kinemill run {task.name}")
    if task.learn.reads_clips:
        raise BadInput("dummy logs", f"{task.name} learns from clips", expected="clips of a robot")
    dummy = dummy or Dummy()
    paths = list[Path]()
    for number in range(dummy.episodes):
        name = f"dummy-{number:04d}"
        random = np.random.default_rng(int(digest([task.name, dummy.seed, name])[:16], 16))
        table = _log(task, dummy, random)
        content = hdf5(task, dummy, number, table, random) if task.media else csv(table).encode()
        paths.append(folder / f"{name}{_ending(task)}")
        publish_file(paths[-1], content)
    return paths


def _ending(task: Task) -> str:
    return ".h5" if task.media else ".csv"


def dummy_overrides(task: Task, dummy: Dummy | None = None, below: str = "") -> Json:
    """Return the overrides with which a task reads dummy logs and trains briefly.

    `below` is the folder of the logs below the one that is read, such as `abc/`.
    """
    ending = _ending(task)
    shape = [*dummy.image, 3] if dummy and dummy.image else None
    images = [name for name in task.media if task.channels[name].role == "image"]
    return {
        **{
            f"channels.{name}.source": [source(_column(task, name), task)] for name in task.channels
        },
        **{f"channels.{name}.shape": shape for name in images if shape},
        "ingest.format": ending.removeprefix(".").replace("h5", "hdf5"),
        "ingest.time": ["time"],
        "ingest.time_unit": "s",
        "ingest.groups": [],
        "ingest.parts": {},
        "ingest.include": [f"{below}dummy-*"],
        "ingest.exclude": [],
        "ingest.min_file_age": 0.0,
        "dataset.group_by": "recording",
        "dataset.test": [f"{below}dummy-0000{ending}"],
        "dataset.validation": [f"{below}dummy-0001{ending}"],
        "dataset.unused": [],
        "learn.steps": min(task.learn.steps or FEW_STEPS, FEW_STEPS),
        "learn.eval_every": min(task.learn.eval_every, 50),
        "verify.closed_loop": 0,  # these are logs of no robot
        **(FEW_TRIALS if task.environment is not None else {}),
    }


def _column(task: Task, name: str) -> str:
    """Return the channel whose column a channel is read from: itself, or its next state."""
    channel = task.channels[name]
    if channel.role != "action" or not channel.resample.lead or not channel.source:
        return name
    same = (state for state in task.states if task.channels[state].source == channel.source)
    return next(same, name)


def _log(task: Task, dummy: Dummy, random: np.random.Generator) -> Table:
    _refuse_slopes_of_rotations(task)
    history, horizon = (int(getattr(task.learn, key, 1)) for key in ("history", "horizon"))
    window = history + max(horizon, task.verify.horizon)
    rows = dummy.samples or max(400, 4 * window)
    if rows <= window:
        raise BadInput(
            f"dummy logs of {rows} samples",
            "hold no window",
            expected=f"more than {window} rows: history and horizon of {task.name}",
        )
    time = np.asarray(np.arange(rows) * task.dt, np.float64)
    # Slow robots (a tank every 4 s) are slow in everything.
    omega = 2.0 * np.pi * np.exp(random.uniform(np.log(LOWEST), np.log(HIGHEST), SINES))
    omega = omega * min(1.0, 0.1 / task.dt) * max(1.0, 4.0 / (rows * task.dt))
    drives = {name: _waves(random) for name in task.actions} or {"": _waves(random)}
    table: Table = {"time": time}
    for name, waves in drives.items():
        if name:
            table[name] = _fit(task, {name: play(waves, omega, time)})[name]
    driven = list(drives.values())
    for number, names in enumerate(rotations(task.channels)):
        angle = play(driven[number % len(driven)], omega, time)
        turned = turn(np.pi * angle, random.standard_normal(3), random)
        table |= dict(zip(names, turned, strict=True))
    for number, orders in enumerate(families(task)):
        waves = driven[number % len(driven)]
        response = waves * _gain(omega, float(omega.mean()), spring=len(orders) > 1)
        played = {
            name: play(response * (1j * omega) ** order, omega, time)
            for name, order in orders.items()
        }
        for name, signal in _fit(task, played).items():
            noise = NOISE * float(np.abs(signal - signal.mean()).max())
            table[name] = signal + noise * random.standard_normal(rows)
    ordered = {name: table[name] for name in ("time", *task.actions, *task.states)}
    return ordered | _observations_and_rewards(task, ordered, random)


def _refuse_slopes_of_rotations(task: Task) -> None:
    for name, channel in task.channels.items():
        parent = channel.derivative_of
        if parent and task.channels[parent].kind == "quaternion":
            raise BadInput(
                f"dummy logs of {task.name}",
                f"{name} is the derivative of {parent}, an element of a quaternion",
                expected="angular velocities, which are not the derivative of a channel",
            )


def _observations_and_rewards(task: Task, table: Table, random: np.random.Generator) -> Table:
    """Return observations and outputs, mixtures of the states, and rewards, each (n,)."""
    states = np.stack([table[name] for name in task.states])
    span = np.maximum(np.ptp(states, axis=1, keepdims=True), 1e-12)
    unit = 2.0 * (states - states.min(axis=1, keepdims=True)) / span - 1.0
    derived: Table = {}
    for name in task.numbers:
        if task.channels[name].role in {"observation", "output"} and name not in table:
            mixture = random.dirichlet(np.ones(len(unit))) @ unit
            derived[name] = mixture + NOISE * random.standard_normal(unit.shape[1])
        elif task.channels[name].role == "reward":
            derived[name] = -np.mean(unit**2, axis=0)
    return derived


def _waves(random: np.random.Generator) -> Waves:
    """Return random amplitudes and phases of a sum of sines, (SINES,), at most 1 in all."""
    amplitude = random.dirichlet(np.ones(SINES))
    return np.asarray(amplitude * np.exp(2j * np.pi * random.uniform(size=SINES)), np.complex128)


def _gain(omega: NDArray[np.float64], middle: float, *, spring: bool) -> Waves:
    """Return the frequency response of a lag, or of a spring for states with derivatives."""
    natural = min(NATURAL, 2.0 * middle)
    if not spring:
        return np.asarray(1.0 / (1.0 + 1j * omega / natural), np.complex128)
    stiff = natural**2 - omega**2 + 2j * DAMPING * natural * omega
    return np.asarray(natural**2 / stiff, np.complex128)


def _fit(task: Task, chain: Json) -> Json:
    """Return a chain of signals, (n,) each, with an offset and a scale within the limits."""
    first, *_ = chain
    bounds = task.channels[first].limits
    middle = 0.0
    scale = np.inf if bounds else 1.0  # without limits a signal of about 1, in its unit
    if bounds:
        middle = 0.5 * (bounds[0] + bounds[1])
        scale = 0.5 * (bounds[1] - bounds[0]) / float(np.abs(chain[first]).max())
    jumps: Mapping[str, float] = getattr(getattr(task.validation, "max_jump", None), "bounds", {})
    for name, signal in chain.items():
        limits = task.channels[name].limits
        if limits and name != first:
            scale = min(scale, min(-limits[0], limits[1]) / float(np.abs(signal).max()))
        if name in jumps:
            scale = min(scale, jumps[name] / float(np.abs(np.diff(signal)).max()))
    scale *= REACH
    return {
        name: scale * signal + (middle if name == first else 0.0) for name, signal in chain.items()
    }


def source(name: str, task: Task) -> str:
    """Return where a dummy log keeps a channel."""
    role = task.channels[name].role
    if not task.media:
        return name
    return f"@{name}" if role == "text" else f"{GROUPS.get(role, 'observations')}/{name}"


def hdf5(task: Task, dummy: Dummy, number: int, table: Table, random: np.random.Generator) -> bytes:
    """Return the bytes of one episode as HDF5, in the layout of robot learning data sets.

    `time`; `observations/`, `actions/`, `rewards/` and `images/` with one data set for each
    channel; texts are attributes. In an image, the position of a disc shows the first two states
    within their range, and the length of a bar shows the first action, so a policy can learn from
    the image.

    Args:
        task: names the channels.
        dummy: size of pictures, and the instructions.
        number: of the episode, which has its turn of the instructions.
        table: `time` and each number (n,).
        random: the episode's own.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["time"] = table["time"]
        for name in task.numbers:
            file[source(name, task)] = table[name]
        for name in task.media:
            channel = task.channels[name]
            if channel.role == "text":
                file.attrs[name] = dummy.instructions[number % len(dummy.instructions)]
            else:
                size = dummy.image or (channel.shape[:2] if channel.shape else SIZE)
                frames = _pictures(task, table, size, random)
                file.create_dataset(source(name, task), data=frames, chunks=(1, *frames.shape[1:]))
    return buffer.getvalue()


def _pictures(
    task: Task, table: Table, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Return (n, height, width, 3): disc and bar before a background of the episode's own."""
    height, width = size
    axes = [_within(table[name]) for name in [*task.states, *task.states][:2]]
    down = np.linspace(0.0, 1.0, height)[:, None]
    right = np.linspace(0.0, 1.0, width)[None]
    frames = np.empty((len(axes[0]), height, width, 3), np.uint8)
    frames[:] = random.integers(40, 120, 3).astype(np.uint8)
    bar = _within(table[task.actions[0]]) if task.actions else None
    for row, (x, y) in enumerate(zip(*axes, strict=True)):
        frames[row][np.hypot(right - x, down - y) < RADIUS] = (220, 180, 60)
        if bar is not None:
            frames[row][(down > 0.95) & (right < bar[row])] = (60, 90, 230)
    return frames


def _within(signal: Floats) -> Floats:
    """Return (n,) moved and scaled into 0.15 to 0.85 of the picture."""
    span = max(float(np.ptp(signal)), 1e-12)
    return 0.15 + 0.7 * (signal - signal.min()) / span


def play(waves: Waves, omega: Floats, time: Floats) -> Floats:
    """Return the sum of sines at times (n,) s as (n,); `waves` (K,) at `omega` (K,) rad/s."""
    return np.real(np.exp(1j * np.outer(time, omega)) @ waves)


def turn(angle: Floats, axis: Floats, random: np.random.Generator) -> Floats:
    """Return unit quaternions (4, n) of turns by angles (n,) rad about an axis (3,)."""
    axis = axis / np.linalg.norm(axis)
    turned = np.vstack([np.cos(angle / 2.0), axis[:, None] * np.sin(angle / 2.0)])
    turned = turned + NOISE * random.standard_normal(turned.shape)
    return np.asarray(turned / np.linalg.norm(turned, axis=0), np.float64)


def families(task: Task) -> list[dict[str, int]]:
    """Return each state that derives from no other, first, with its derivatives and their order."""
    families = [
        {name: 0}
        for name in task.states
        if task.channels[name].derivative_of is None and task.channels[name].kind != "quaternion"
    ]
    families += [
        {name: 0} for name in task.states if task.channels[name].derivative_of in task.actions
    ]
    for family in families:
        for _ in task.states:
            family |= {
                name: family[parent] + 1
                for name in task.states
                if (parent := task.channels[name].derivative_of) in family and parent
            }
    return families
