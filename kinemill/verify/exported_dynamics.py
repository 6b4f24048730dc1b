"""Checks of the exported files of a dynamics model that need no trained network and no data.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from kinemill.runtime import Interface, Simulator, load, wrapped
from kinemill.runtime.self_test import CASES, parity, read_cases
from kinemill.runtime.window_metrics import Floats, draw_within
from kinemill.verify.checklist import Gate, try_check
from kinemill.verify.contract_checks import SAME, check_contract, same_by_steps
from kinemill.verify.files import read_models
from kinemill.verify.latency import Call as TimedCall
from kinemill.verify.nan_propagation import ROWS as NAN_ROWS
from kinemill.verify.nan_propagation import Call
from kinemill.verify.structure import examine
from kinemill.verify.test_inputs import Array, Arrays, Probe, window_probe

ROWS = 64
HORIZON = 25
COPIES = 3
BIT = 2.0**-23  # number of perturbed copies, and the relative size of a float32 bit
TIMES = 10.0  # allowed multiple of the effect of one bit, as in parity with the trained step


@dataclass(frozen=True)
class ExportedDynamics:
    """Exported files of a dynamics model.

    Attributes:
        folder: the folder.
    """

    folder: Path

    @cached_property
    def simulator(self) -> Simulator:
        """The files, loaded so that NaN inputs are accepted."""
        return load(self.folder, non_finite="pass")

    @cached_property
    def threaded(self) -> Simulator:
        """The files, loaded with two threads."""
        return load(self.folder, threads=2, non_finite="pass")

    @cached_property
    def strict(self) -> Simulator:
        """The files, loaded so that every invalid input is rejected."""
        return load(self.folder, out_of_limits="raise")

    @property
    def interface(self) -> Interface:
        """Channels, units and shapes."""
        return self.simulator.interface

    def models(self) -> dict[Path, onnx.ModelProto]:
        """Return every ONNX file of the folder."""
        return read_models(self.folder)

    def check_files(self, models: Mapping[Path, onnx.ModelProto]) -> list[Gate]:
        """Check that each file is valid, complete and consistent with its metadata."""
        return [line for path, model in models.items() for line in examine(path, model)]

    def make_probes(self) -> list[Probe]:
        """Return one probe: a window of zeros, then random windows within the limits."""
        random = np.random.default_rng(0)
        interface = self.interface
        # Stated limits come last, so that they replace the range of a whole turn.
        limits = {**dict.fromkeys(interface.angles, (-np.pi, np.pi)), **interface.limits}
        history = interface.history
        states = interface.states
        actions = interface.actions
        parts = (
            draw_within(random, limits, states, (ROWS, history)),
            draw_within(random, limits, actions, (ROWS, history - 1)),
            draw_within(random, limits, actions, (ROWS, HORIZON)),
        )
        return [window_probe("random", *parts)]

    def outputs(self, probe: Probe, threads: int = 1) -> Array:
        """Return the rollouts of a probe, (N, T, S), in units."""
        simulator = self.simulator if threads == 1 else self.threaded
        return simulator.rollout(*probe.windows)

    def agreement(self, name: str, probe: Probe, actual: Array, expected: Array) -> Gate:
        """Compare rollouts (N, T, S) up to the effect of one float32 bit in the inputs."""
        # At least 1: a channel within ±1 is compared by its absolute difference.
        reach = np.maximum(np.abs(expected.astype(np.float64)).max(axis=(0, 1)), 1.0)
        off = np.abs(wrapped(actual.astype(np.float64) - expected, self.interface.is_angle)) / reach
        # A chaotic model amplifies the rounding of another batch size, so a fixed limit would fail.
        passed = bool((off <= np.maximum(SAME, TIMES * self._rounding(probe) / reach)).all())
        value = f"they differ by {float(off.max()):.1e} of a channel's largest value"
        return Gate(name, passed, value, f"at most {SAME:g}, or the effect of rounding")

    def _rounding(self, probe: Probe) -> Floats:
        """Return the largest change of each rollout by one bit in the inputs, (N, 1, S)."""
        random = np.random.default_rng(0)
        single = self.outputs(probe)
        changes = list[Floats]()
        for _ in range(COPIES):
            parts = (
                part * (1.0 + BIT * random.choice([-1.0, 1.0], part.shape))
                for part in probe.windows
            )
            rolled = self.simulator.rollout(*parts).astype(np.float64)
            changes.append(np.abs(rolled - single).max(axis=1))
        return np.max(changes, axis=0)[:, None]

    def nan_calls(self, probe: Probe) -> list[Call]:
        """Return the rollout and the step on a few windows."""
        simulator = self.simulator
        inputs = probe.first(NAN_ROWS).inputs
        carry = simulator.warm_up(inputs["states"], inputs["past_actions"])
        step: Arrays = {"state": inputs["states"][:, -1], "action": inputs["actions"][:, 0]}
        step |= {item.name: part for item, part in zip(self.interface.carry, carry, strict=True)}
        calls = [
            Call("rollout", inputs, lambda tensors: [simulator.rollout(*tensors.values())]),
            Call("step", step, lambda tensors: simulator.step(*tensors.values())),
        ]
        if not simulator.outputs:
            return calls
        return [
            *calls,
            Call("outputs", inputs, lambda tensors: simulator.rollout_outputs(*tensors.values())),
            Call("step outputs", step, lambda tensors: [simulator.step_outputs(*tensors.values())]),
        ]

    def check_contract(self, probes: Sequence[Probe]) -> list[Gate]:
        """Check repeatability, angles within ±π, and invalid inputs."""
        return check_contract(self.simulator, self.strict, probes)

    def check_alone(self, probe: Probe) -> list[Gate]:
        """Check that a rollout equals its steps and the stored parity cases."""
        gates: list[Gate] = []
        if (self.folder / CASES).is_file():
            cases = read_cases(self.folder)
            gates += try_check(
                "parity", lambda: [Gate(*line.values()) for line in parity(self.simulator, cases)]
            )
        gates += try_check("rollout equals steps", lambda: [same_by_steps(self.simulator, probe)])
        return gates

    def timed_calls(self, probe: Probe) -> dict[str, TimedCall]:
        """Return a rollout over the probe's horizon and one step."""
        simulator = self.simulator
        first_row = probe.first(1)
        carry = simulator.warm_up(first_row.states, first_row.past_actions)
        state = first_row.states[:, -1]
        action = first_row.actions[:, 0]
        return {
            "rollout": lambda: simulator.rollout(*first_row.windows),
            "step": lambda: simulator.step(state, action, *carry),
        }

    def batch_call(self, probe: Probe, threads: int) -> TimedCall:
        """Return the rollout of a batch."""
        return lambda: self.outputs(probe, threads)
