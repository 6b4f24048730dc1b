"""Compare vectorized environments: ours, Gymnasium's and those of stable-baselines3.

Prints the table of docs/decisions/vector-environments.md: steps per second of all environments
together at 1, 8 and 32 environments, and what happens when a worker is killed or raises an error.
Run it with `python -m benchmarks.decide_vector_envs`; SECONDS=2 is the time of one measurement, the
best of ROUNDS=3 counts.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from kinemill.rl.learner_context import copy_factory
from kinemill.rl.subproc_vec_env import SubprocessCopies, shares
from kinemill.rl.sync_vec_env import Copies
from kinemill.rl.vec_env import CopiesEnv, LocalWorker
from kinemill.task import Task

SECONDS = float(os.environ.get("SECONDS_EACH", "2"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
COUNTS = (1, 8, 32)
ENVIRONMENTS = {
    "CartPole-v1": {"type": "gymnasium", "id": "CartPole-v1"},
    "reach (MuJoCo)": {"type": "reach", "steps": 200},
}


def factory(name: str) -> Callable[[], Any]:
    """Return a picklable factory of one environment with the wrappers of a training."""
    document = {
        "task": "speed",
        "dt": 0.02,
        "environment": ENVIRONMENTS[name],
        "learn": {"type": "reinforcement"},
    }
    return copy_factory(Task.model_validate(document), [])


class Raises(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Raises an error at the fifth step."""

    count = 0

    def step(self, action: Any) -> Any:
        """Raise, or step."""
        self.count += 1
        if self.count == 5:
            raise RuntimeError("the motor is hot")
        return self.env.step(action)


def raising(make: Callable[[], Any]) -> Any:
    """Return an environment that raises an error."""
    return Raises(make())


def ours_sync(make: Callable[[], Any], count: int) -> Any:
    """Return our environments in this process."""
    return CopiesEnv([LocalWorker(Copies(make, count))], [count])


def ours_processes(make: Callable[[], Any], count: int) -> Any:
    """Return our environments in one process per core, each with its share."""
    sizes = shares(count, None)
    return CopiesEnv([SubprocessCopies(make, size) for size in sizes], sizes)


def gymnasium_sync(make: Callable[[], Any], count: int) -> Any:
    """Return Gymnasium's environments in this process."""
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    return gymnasium.vector.SyncVectorEnv([make] * count, autoreset_mode=mode)


def gymnasium_async(make: Callable[[], Any], count: int) -> Any:
    """Return Gymnasium's environments in one process each."""
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    return gymnasium.vector.AsyncVectorEnv([make] * count, context="spawn", autoreset_mode=mode)


def sb3_dummy(make: Callable[[], Any], count: int) -> Any:
    """Return stable-baselines3's environments in this process."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([make] * count)


def sb3_subproc(make: Callable[[], Any], count: int) -> Any:
    """Return stable-baselines3's environments in one process each."""
    from stable_baselines3.common.vec_env import SubprocVecEnv

    return SubprocVecEnv([make] * count, start_method="spawn")


IN_PROCESS = {
    "kinemill `in_process`": ours_sync,
    "Gymnasium `SyncVectorEnv`": gymnasium_sync,
    "SB3 `DummyVecEnv`": sb3_dummy,
}
PROCESSES = {
    "kinemill `processes`": ours_processes,
    "Gymnasium `AsyncVectorEnv`": gymnasium_async,
    "SB3 `SubprocVecEnv`": sb3_subproc,
}


def actions_of(environment: Any, count: int) -> np.ndarray[Any, Any]:
    """Return random actions, (100, B, ...)."""
    space = getattr(environment, "single_action_space", environment.action_space)
    space.seed(0)
    return np.array([[space.sample() for _ in range(count)] for _ in range(100)])


def steps_per_second(open_all: Any, make: Callable[[], Any], count: int) -> float:
    """Return the steps of all environments per second."""
    environment = open_all(make, count)
    try:
        actions = actions_of(environment, count)
        environment.reset()
        for action in actions[:5]:
            environment.step(action)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            environment.step(actions[steps % 100])
            steps += 1
        return steps * count / (time.perf_counter() - start)
    finally:
        environment.close()


def measure() -> None:
    """Print steps per second, alternating the candidates so that load hits all of them."""
    print(
        "| environments | "
        + " | ".join(f"{env}, {n}" for env in ENVIRONMENTS for n in COUNTS)
        + " |"
    )
    print("|---|" + "---|" * (len(ENVIRONMENTS) * len(COUNTS)))
    candidates = IN_PROCESS | PROCESSES
    best = dict.fromkeys(
        ((name, env, n) for name in candidates for env in ENVIRONMENTS for n in COUNTS), 0.0
    )
    for _ in range(ROUNDS):
        for name, env, count in best:
            rate = steps_per_second(candidates[name], factory(env), count)
            best[name, env, count] = max(best[name, env, count], rate)
            print(f"{name}, {env}, {count}: {rate:,.0f}", file=sys.stderr, flush=True)
    for name in candidates:
        cells = [f"{best[name, env, n]:,.0f}" for env in ENVIRONMENTS for n in COUNTS]
        print(f"| {name} | {' | '.join(cells)} |")


def children() -> list[int]:
    """Return the processes of environments that this process started."""
    text = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [int(line.split()[0]) for line in text.splitlines() if "spawn_main" in line]


def fail(name: str, kind: str) -> None:
    """Kill a worker, or let an environment raise, and print what the caller sees."""
    make = factory("CartPole-v1")
    environment = PROCESSES[name](partial(raising, make) if kind == "raise" else make, 2)
    actions = actions_of(environment, 2)
    environment.reset()
    start = time.perf_counter()
    try:
        for step, action in enumerate(actions):
            if step == 3 and kind == "kill":
                os.kill(children()[-1], signal.SIGKILL)
                start = time.perf_counter()
            environment.step(action)
    except Exception as error:  # noqa: BLE001 - the kind of error is the result
        took = time.perf_counter() - start
        first = " ".join(str(error).split())[:110]
        print(f"{type(error).__name__} after {took:.2f} s: {first or '(no message)'}", flush=True)
    os._exit(0)


def failures() -> None:
    """Print the behavior of each candidate with processes."""
    print("\n| environments | a worker is killed | an environment raises |\n|---|---|---|")
    for name in PROCESSES:
        cells = list[str]()
        for kind in ("kill", "raise"):
            command = [sys.executable, "-m", "benchmarks.decide_vector_envs", name, kind]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=60, check=False
                )
                cells.append((done.stdout.strip().splitlines() or ["ends without a message"])[-1])
            except subprocess.TimeoutExpired:
                cells.append("hangs (60 s)")
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        fail(sys.argv[1], sys.argv[2])
    measure()
    failures()
