"""Summary of the artifact `onnx_model`: its interface, the size of its files, C code."""

from dataclasses import dataclass, field

from kinemill.store import StoredSummary


@dataclass(frozen=True)
class LatencyPercentiles:
    """Percentiles of the latency of one step, us; `worst` is the slowest call."""

    p50: float
    p99: float
    worst: float


@dataclass(frozen=True)
class C99Facts:
    """Facts about the C code.

    Attributes:
        weights, scratch: constants, and memory on the stack, bytes.
        multiplications: multiply-adds of one step.
        difference: largest difference from step.onnx, or from the trained policy.
        latency_us: measured on this machine.
    """

    weights: int
    scratch: int
    multiplications: int
    difference: float
    latency_us: LatencyPercentiles


@dataclass(frozen=True, kw_only=True)
class ExportSummary(StoredSummary):
    """Summary of an exported model or policy.

    Attributes:
        carry: name and shape of each part of the carry, for one row.
        opset: version of the ONNX operators.
        bytes: size of each ONNX file.
        c99: facts about the C code; None without it.
        history, states: rows of history and names of the states of a dynamics model.
        observation, inputs: observed channels and all inputs of a policy.
    """

    actions: list[str]
    carry: list[list[str | int]]
    opset: int
    bytes: dict[str, int]
    c99: C99Facts | None = None
    history: int | None = None
    states: list[str] = field(default_factory=list[str])
    observation: list[str] = field(default_factory=list[str])
    inputs: list[str] = field(default_factory=list[str])
