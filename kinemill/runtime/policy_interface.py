"""Interface of a policy, stored in the metadata of its ONNX file.

Each field is one metadata property as JSON, so that the file alone is enough to run the policy.

Symbols: B batch, D numbers observed, A actions, M choices, L bytes of a text.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kinemill.errors import BadInput
from kinemill.runtime.interface import FORMAT, Carry, read_properties
from kinemill.runtime.json_values import from_json
from kinemill.runtime.policy_layout import MASK, OBSERVATION, SEED, PolicyLayout

FORM = "form"
POLICY = "policy"  # property of the files of policies
ACTION = "action"


@dataclass(frozen=True)
class PolicyInterface:
    """Inputs, outputs and origin of a policy.

    Attributes:
        task: name of the task.
        layout: names, order, units and limits.
        carry: tensors passed from step to step; zeros at the start of an episode.
        dataset: digest of the training dataset.
        versions: versions of the exporting libraries.
    """

    task: str
    layout: PolicyLayout
    carry: tuple[Carry, ...]
    dataset: str
    versions: dict[str, str]

    @property
    def dt(self) -> float:
        """Time step, s."""
        return self.layout.dt

    @property
    def discrete(self) -> bool:
        """Whether every action is discrete."""
        return bool(self.layout.choices) and all(self.layout.choices)

    @property
    def choices(self) -> tuple[int, ...]:
        """Number of choices of each action; 0 for a continuous one."""
        return self.layout.choices or (0,) * len(self.layout.actions)

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value by name, in `units`; 0 and n - 1 for an action of n choices."""
        choices = zip(self.layout.actions, self.choices, strict=True)
        return self.layout.limits | {name: (0.0, count - 1.0) for name, count in choices if count}

    def shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return shape without the batch, and type, of each input before the carry."""
        layout = self.layout
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            OBSERVATION: ((len(layout.observation),), "float32"),
            MASK: ((layout.mask,), "float32"),
            SEED: ((1,), "int64"),
        }
        shapes |= {name: (tuple(shape), "uint8") for name, shape in layout.images.items()}
        shapes |= {name: ((size,), "uint8") for name, size in layout.texts.items()}
        return {name: shapes[name] for name in layout.inputs}

    def to_metadata(self) -> dict[str, str]:
        """Return the ONNX metadata properties, each value as JSON."""
        fields = {"format": FORMAT, "producer": "kinemill", FORM: POLICY, **self.layout.to_json()}
        fields |= {name: value for name, value in asdict(self).items() if name != "layout"}
        return {name: json.dumps(value, allow_nan=False) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, where: object, properties: Mapping[str, str]) -> "PolicyInterface":
        """Read the properties of the ONNX file `where`.

        Raises:
            BadInput: The properties are not of a policy that kinemill exported, or of another
                format.
        """
        fields = [name for name in cls.__dataclass_fields__ if name != "layout"]
        names = (FORM, *fields, *PolicyLayout.__dataclass_fields__)
        values = read_properties(where, properties, names, "a policy")
        if values[FORM] != POLICY:
            raise BadInput(where, f"is {values[FORM]}", expected=POLICY)
        return from_json(cls, {**values, "layout": values})
