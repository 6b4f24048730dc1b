"""C99 from a step: `step.c` and `step.h`, without dependencies but `math.h`, without allocation.

Made from the published `step.onnx` alone, so it can be made of any model there is, later as well.
All sizes are known, so all loops are bounded; weights are `static const`. What depends on constants
alone is evaluated here. Operations outside of `operations.py` are refused with their names.

Symbols: S states, A actions, C numbers carried, L lanes: rows that are worked out at once.
"""

from kinemill.export.c99.program import Program
from kinemill.export.c99.source import Source, generate

__all__ = ["Program", "Source", "generate"]
