"""Results of single checks and measurements of the exported files."""

import math
from dataclasses import dataclass, field

from kinemill.export.summary import VariantLoss
from kinemill.store.numbers import Number


@dataclass(frozen=True)
class Parity:
    """One comparison with the trained network, at the row and channel that differ most.

    Attributes:
        call: `step`, `rollout`, `long rollout` or `policy`.
        probe: name of the inputs.
        batch: batch size.
        channel: the worst channel, action or carry.
        difference: largest difference there, in the channel's unit.
        allowed: largest difference that passes there.
        finite: whether all numbers are finite.
        passed: difference <= allowed, and finite.
        error: first line of the exception that ended the call; else empty.
        diverged: whether the trained network itself gives numbers that are not finite.
        steps: consecutive steps of a policy, with its carry.
        threads: of ONNX Runtime.
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
        """Difference over allowed difference; infinite where it is not finite."""
        ratio = self.difference / self.allowed if self.allowed else math.inf
        if self.difference == 0.0:
            ratio = 0.0
        return ratio if math.isfinite(ratio) and self.finite else math.inf


@dataclass(frozen=True)
class NanPropagation:
    """The effect of a NaN in one row of one input.

    Attributes:
        call: the function, `step`, `rollout` or `policy`.
        tensor: the input with the NaN.
        fills_row: whether every output of that row is NaN.
        is_contained: whether every output of all other rows is finite.
    """

    call: str
    tensor: str
    fills_row: bool
    is_contained: bool

    @property
    def passed(self) -> bool:
        """Whether NaN is in that row and in no other."""
        return self.fills_row and self.is_contained


@dataclass(frozen=True)
class Structure:
    """Contents of one ONNX file.

    Attributes:
        file: its name.
        bytes: its size.
        opset: of ONNX's own operators; 0 if it names none.
        ir: version of the format.
        producer: exporter and version.
        operators: how many nodes of each, those of subgraphs counted once.
        parameters: numbers in its constants.
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
    """Steps/s of one batch size by a number of threads."""

    batch: int
    threads: int
    steps_per_second: float


@dataclass(frozen=True)
class Latency:
    """Percentiles over the calls of one block, ms.

    Attributes:
        p50, p90, p99, p99_9: percentiles.
        jitter: p99 - p50.
        calls: in each block.
        blocks: the one with the smallest p99 counts, because other processes share the machine.
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
    """Latency of the call that a task may limit, ms; NaN where it was not measured."""

    p50: Number = float("nan")
    p99: Number = float("nan")


@dataclass(frozen=True)
class CheckSummary:
    """Results of the checks that the gate reads first.

    Attributes:
        passed: whether every check passed.
        parity: whether the files match the trained model.
        precision: whether rounding is negligible; None for policies.
        latency_ms: of a rollout, or one action.
    """

    passed: bool = False
    parity: bool = False
    precision: bool | None = None
    latency_ms: CallLatency = field(default_factory=CallLatency)


@dataclass(frozen=True)
class PhysicsResult:
    """Growth of energy or asymmetry, in standard deviations, and the largest that passes."""

    value: Number
    within: float


@dataclass(frozen=True)
class VariantResult(VariantLoss):
    """Loss of a variant in fewer bits.

    Attributes:
        test, test_fp32: nRMSE on the test split, and that of the float32 model.
        bytes: size of each of its files; empty if it was left out.
    """

    test: Number
    test_fp32: Number
    bytes: dict[str, int]


@dataclass(frozen=True)
class OutputAccuracy:
    """Error of one output.

    Attributes:
        unit: its unit.
        rmse: root mean square error at the present row, where states are measured.
        rmse_horizon: the same at the last row of the horizon, from predicted states.
        mean: RMSE of the mean of the training rows.
        linear: RMSE of a linear map of the present row, fitted to the training rows.
        std: standard deviation in the training rows.
        steps: rows from the present to the last row of the horizon.
    """

    unit: str
    rmse: Number
    rmse_horizon: Number
    mean: Number
    linear: Number
    std: Number
    steps: int
