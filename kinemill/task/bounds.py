"""Types of numeric settings with bounds.

A numeric field has one of these types or its own bounds. So the task file, `--set`, the launchpad,
REST, forms and the JSON schema have the same bounds. `tests/task/test_bounds.py` fails for a
numeric field without a lower and an upper bound.

The bounds are wide: they exclude values that no machine can process. The limits of this machine are
checked when a stage starts, see `kinemill.store.machine` and `kinemill.train.memory`.
"""

from typing import Annotated

from pydantic import Field

SQUARED = 1e19  # float32 can hold the square of any smaller value
_FLOAT32 = 3.4028234663852886e38  # largest float32, the end of an unbounded space in Gymnasium
_CENTURY = 3.2e9  # s

# Numbers of things
Count = Annotated[int, Field(gt=0, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]
Steps = Annotated[int, Field(gt=0, le=100_000_000_000)]
StepsOrZero = Annotated[int, Field(ge=0, le=100_000_000_000)]
Epochs = Annotated[int, Field(gt=0, le=1_000_000)]
BatchSize = Annotated[int, Field(gt=0, le=16_777_216)]
RowCount = Annotated[int, Field(gt=0, le=1_000_000)]
Processes = Annotated[int, Field(gt=0, le=65_536)]
Position = Annotated[int, Field(ge=0, le=65_536)]  # an index, from 0
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # range of seeds of NumPy and Gymnasium

# Sizes of networks and images
Layers = Annotated[int, Field(gt=0, le=256)]
Width = Annotated[int, Field(gt=0, le=65_536)]
Pixels = Annotated[int, Field(gt=0, le=8_192)]

# Values in the unit of a channel
Quantity = Annotated[float, Field(ge=-SQUARED, le=SQUARED)]
PositiveQuantity = Annotated[float, Field(gt=0.0, le=SQUARED)]
QuantityOrZero = Annotated[float, Field(ge=0.0, le=SQUARED)]
Limit = Annotated[float, Field(ge=-_FLOAT32, le=_FLOAT32)]

# Durations and rates
Seconds = Annotated[float, Field(gt=0.0, le=_CENTURY)]
SecondsOrZero = Annotated[float, Field(ge=0.0, le=_CENTURY)]
TimeStep = Annotated[float, Field(ge=1e-9, le=86_400.0)]  # from 1 ns to a day
Frequency = Annotated[float, Field(gt=0.0, le=1e9)]

# Numbers without a unit
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]
Ratio = Annotated[float, Field(gt=0.0, le=1e6)]
RatioOrZero = Annotated[float, Field(ge=0.0, le=1e6)]
Power = Annotated[float, Field(ge=-100.0, le=100.0)]  # exponents
Weight = Annotated[float, Field(ge=0.0, le=1e9)]
LearningRate = Annotated[float, Field(gt=0.0, le=1_000.0)]
LearningRateOrZero = Annotated[float, Field(ge=0.0, le=1_000.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
