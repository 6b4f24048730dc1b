"""C99 code generation: `step.c` and `step.h` from a published `step.onnx`.

The code needs only `math.h`, allocates nothing and has bounded loops; weights are `static const`.
Constant expressions are evaluated during generation. `operations.py` lists supported operations;
others raise an error.

Symbols: S states, A actions, C numbers of the carry, L lanes: rows computed in parallel.
"""

from kinemill.export.c99.program import Program
from kinemill.export.c99.source import Source, generate

__all__ = ["Program", "Source", "generate"]
