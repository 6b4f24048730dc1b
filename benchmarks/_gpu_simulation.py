"""Section `simulation`: MuJoCo Warp with 4,096 bipeds, and its trajectories against MuJoCo."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks._gpu_rows import Bench, NotRun, require

BODY = ROOT / "plugins" / "kinemill-walker" / "kinemill_walker" / "biped.xml"
WORLDS = 4096
POSITION, VELOCITY = 1e-4, 2e-2  # rad and m, rad/s and m/s, after one time step in float32


def measure(bench: Bench) -> None:
    """Measure steps a second of both engines, and their difference."""
    with bench.case("physics of the biped"):
        require("mujoco", "gymnasium")
        count = bench.size(WORLDS, 8)
        _speed(bench, f"MuJoCo on all cores, {count} bipeds", _robots(count))
        with bench.case("MuJoCo Warp"):
            require("warp", "mujoco_warp")
            if bench.is_toy:
                message = "its kernels take two minutes to compile for a CPU"
                raise NotRun(message)
            _warp(bench, count)


def _robots(count: int, **engine: Any) -> Any:
    from kinemill.policies.environments.legged.body import load_body
    from kinemill.policies.environments.legged.robots import Gauge, LeggedRobots

    return LeggedRobots(load_body(Path(BODY)), Gauge(0.1, 0.5, 0.13), count, 0.02, **engine)


def _begun(robots: Any) -> Any:
    """Start all robots in stance, in the air by a hair, with noise on the joints."""
    count, stance = len(robots.position), robots.body.stance
    random = np.random.default_rng(3)
    joints = stance + random.normal(0.0, 0.05, (count, len(stance)))
    still, rates = np.zeros((count, 3)), np.zeros_like(joints)
    robots.begin(range(count), still, joints, rates, np.zeros((count, 2)))
    robots.position[:, 2] += 1e-3  # touching exactly, rounding decides whether there is a contact
    return robots


def _speed(bench: Bench, work: str, robots: Any) -> None:
    _begun(robots)
    targets = np.tile(robots.body.stance, (len(robots.position), 1))
    call = lambda: robots.advance(targets)  # noqa: E731
    seconds = bench.seconds_of(call, 2.0)
    bench.row(work, len(targets) / seconds, "time steps of 20 ms/s, all bipeds")


def _warp(bench: Bench, count: int) -> None:
    from kinemill.policies.environments.legged.physics import MujocoWarp

    engine = partial(MujocoWarp, device="cuda:0")
    _speed(bench, f"MuJoCo Warp, {count} bipeds", _robots(count, physics=engine))
    with bench.case("MuJoCo Warp against MuJoCo, one time step"):
        one, other = _begun(_robots(64)), _begun(_robots(64, physics=engine))
        random, stance = np.random.default_rng(4), one.body.stance
        apart: list[list[Any]] = [[], []]  # position and velocity of each step, (64,)
        for _ in range(20):
            other.position, other.velocity = one.position.copy(), one.velocity.copy()
            targets = stance + random.normal(0.0, 0.1, (64, len(stance)))
            one.advance(targets)
            other.advance(targets)
            apart[0].append(abs(one.position - other.position).max(axis=1))
            apart[1].append(abs(one.velocity - other.velocity).max(axis=1))
        for name, values, most in zip(
            ("position", "velocity"), apart, (POSITION, VELOCITY), strict=True
        ):
            # A contact that begins in another substep changes a few robots by more.
            value, worst = float(np.quantile(values, 0.99)), float(np.max(values))
            work = f"MuJoCo Warp against MuJoCo, {name} after one time step, 99 % of robots"
            goal, is_reached, note = f"at most {most:g}", value <= most, f"worst {worst:.3g}"
            bench.row(work, value, "SI", goal=goal, is_reached=is_reached, note=note)
