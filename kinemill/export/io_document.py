"""`io.yaml`: the description of a model's files for readers, as dataclasses."""

from dataclasses import dataclass, field, replace
from typing import Literal

from kinemill.runtime.interface import Belief

FORMAT = 4
_NOT_FINITE = "NaN or infinity in a row of an input gives NaN in that row of every output"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of an ONNX file.

    Attributes:
        dtype: `float32`, `float64`, `uint8` or `int64`.
        shape: sizes; free ones by name: `batch`, `horizon`.
        meaning: content of the tensor.
        channels: names along the last axis; empty for a tensor without channels.
        units: units of the channels.
    """

    name: str
    dtype: str
    shape: list[str | int]
    meaning: str
    channels: list[str] = field(default_factory=list[str])
    units: list[str] = field(default_factory=list[str])

    def as_next(self, meaning: str) -> "TensorSpec":
        """Return the output `next_NAME`, with the shape of this input, for its next value."""
        return replace(self, name=f"next_{self.name}", meaning=meaning)

    def as_path(self) -> "TensorSpec":
        """Return the output `path_NAME`, (B, horizon, ...), for its value after each action."""
        shape = [self.shape[0], "horizon", *self.shape[1:]]
        return replace(
            self, name=f"path_{self.name}", shape=shape, meaning=f"{self.meaning} after each action"
        )


@dataclass(frozen=True)
class FileSpec:
    """Tensors of one ONNX file, in order."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


@dataclass(frozen=True)
class ChannelSpec:
    """One channel.

    Attributes:
        role: `state`, `action`, `output` or `observation`.
        unit: unit of its values.
        limits: lowest and highest physical value; None where undefined.
        kind: `angle` or `linear`; None for a policy.
    """

    name: str
    role: str
    unit: str
    limits: tuple[float, float] | None
    kind: Literal["angle", "linear"] | None = None


@dataclass(frozen=True, kw_only=True)
class IoDocument:
    """Content of `io.yaml`.

    Attributes:
        producer: name and version of the exporting program.
        dt: time step, s.
        channels: channels in the order of the tensors.
        safe_action: value of each action for a watchdog.
        lineage: digests of the inputs of the model.
        opset: version of the ONNX operators.
        versions: versions of the exporting libraries.
        files: tensors by file name.
        form: `dynamics` or `policy`.
        history: rows before the first prediction, of a dynamics model.
        derived: states that the files estimate, each with the state whose derivative it is.
        belief: carries with the uncertainty of an ensemble; None without one.
        servos: `kp` (N·m/rad), `kv` (N·m·s/rad) and `limit` (N·m) of the position servo that each
            action of a policy commands; empty if actions command no servos.
        choices: number of choices of each action of a policy; 0 for a continuous one.
        dt_unit: unit of `dt`.
        not_finite: effect of a value that is not finite.
        format: version of this format.
    """

    producer: str
    task: str
    dt: float
    channels: list[ChannelSpec]
    safe_action: dict[str, float]
    lineage: dict[str, str]
    opset: int
    versions: dict[str, str]
    files: dict[str, FileSpec]
    form: Literal["dynamics", "policy"]
    history: int | None = None
    derived: dict[str, str] = field(default_factory=dict[str, str])
    belief: Belief | None = None
    servos: dict[str, dict[str, float | None]] = field(
        default_factory=dict[str, dict[str, float | None]]
    )
    choices: dict[str, int] = field(default_factory=dict[str, int])
    dt_unit: str = "s"
    not_finite: str = _NOT_FINITE
    format: int = FORMAT
