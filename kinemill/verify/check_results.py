"""Results of single checks and measurements of the exported files."""

import math
from dataclasses import dataclass, field

from kinemill.store.numbers import Number


@dataclass(frozen=True)
class Parity:
    """One comparison with the trained network, at the row and channel closest to their limit.

    Attributes:
        call: `step`, `rollout`, `long rollout`, `outputs` or `policy`.
        probe: name of the inputs.
        batch: batch size.
        channel: the channel, action or carry.
        difference: difference there, in the unit of the channel.
        allowed: largest difference that passes there, in the same unit.
        finite: whether all numbers are finite.
        passed: whether every difference is at most the allowed one, and finite.
        error: first line of the exception that ended the call; else empty.
        diverged: whether the trained network gives numbers that are not finite.
        steps: consecutive steps of a policy, with its carry.
        threads: number of threads of ONNX Runtime.
    """

    call: str
    probe: str
    batch: int
    channel: str
    difference: Number
    allowed: Number
    finite: bool
    passed: bool
    error: str = ""
    diverged: bool = False
    steps: int = 1
    threads: int = 1

    @property
    def ratio(self) -> float:
        """Difference divided by the allowed difference; infinite if either is not finite."""
        ratio = self.difference / self.allowed if self.allowed else math.inf
        if self.difference == 0.0:
            ratio = 0.0
        return ratio if math.isfinite(ratio) and self.finite else math.inf


@dataclass(frozen=True)
class NanPropagation:
    """The effect of a NaN in one row of one input.

    Attributes:
        call: the function: `step`, `rollout` or `policy`.
        fills_row: whether every output of that row is NaN.
        is_contained: whether every output of all other rows is finite.
    """

    call: str
    tensor: str
    fills_row: bool
    is_contained: bool

    @property
    def passed(self) -> bool:
        """Whether NaN fills its row and no other."""
        return self.fills_row and self.is_contained


@dataclass(frozen=True)
class Structure:
    """Contents of one ONNX file.

    Attributes:
        bytes: size in bytes.
        opset: version of the standard ONNX operators; 0 if the file does not state it.
        ir: version of the file format.
        producer: exporter and its version.
        operators: number of nodes by operator; a node of a subgraph counts once.
        parameters: number of values in all constants.
    """

    file: str
    bytes: int
    opset: int
    ir: int
    producer: str
    operators: dict[str, int]
    parameters: int


@dataclass(frozen=True)
class Throughput:
    """Steps per second with one batch size and number of threads."""

    batch: int
    threads: int
    steps_per_second: float


@dataclass(frozen=True)
class Latency:
    """Percentiles over the calls of one block, ms.

    Attributes:
        p50, p90, p99, p99_9: percentiles.
        jitter: p99 - p50.
        calls: number of calls in each block.
        blocks: number of blocks; the one with the smallest p99 counts, because other processes
            share the machine.
    """

    p50: float
    p90: float
    p99: float
    p99_9: float
    jitter: float
    calls: int
    blocks: int


@dataclass(frozen=True)
class Machine:
    """The machine that measured times."""

    processor: str
    cores: int
    system: str
    python: str
    onnxruntime: str


@dataclass(frozen=True)
class CallLatency:
    """Latency of the call that a task can limit, ms; NaN if it was not measured."""

    p50: Number = float("nan")
    p99: Number = float("nan")


@dataclass(frozen=True)
class CheckSummary:
    """Results of the checks that the gate reads first.

    Attributes:
        passed: whether every check passed.
        parity: whether the files match the trained model.
        precision: whether rounding is negligible; None for policies.
        latency_ms: latency of a rollout, or of one action.
    """

    passed: bool = False
    parity: bool = False
    precision: bool | None = None
    latency_ms: CallLatency = field(default_factory=CallLatency)


@dataclass(frozen=True)
class PhysicsResult:
    """Growth of energy, or asymmetry, in standard deviations, and the largest that passes."""

    value: Number
    within: float

    @property
    def passed(self) -> bool:
        """Whether the value is within the limit; false for NaN."""
        return self.value <= self.within


@dataclass(frozen=True)
class OutputAccuracy:
    """Error of one output.

    Attributes:
        unit: unit of the output, also of all errors.
        rmse: root mean square error at the current row, where states are measured.
        rmse_horizon: RMSE at the last row of the horizon, from predicted states.
        mean: RMSE of the mean of the training rows.
        linear: RMSE of a linear map of the current row, fitted to the training rows.
        std: standard deviation in the training rows.
        steps: rows from the current row to the last row of the horizon.
    """

    unit: str
    rmse: Number
    rmse_horizon: Number
    mean: Number
    linear: Number
    std: Number
    steps: int
