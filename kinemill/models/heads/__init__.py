"""How a network comes to actions, one file each: what it is asked for, its loss, and how it draws.

A head turns what a network says of the present, a condition (B, E), into a chunk of actions
(B, T, A) in spreads of training; the first is for the present. A member of the family is a
`Head`; what its `build` returns is a `HeadModule`.

Symbols: B batch, E numbers that the network gives, T actions of a chunk, A actions of a row.
"""

from kinemill.models.heads._graph_noise import Draws
from kinemill.models.heads._head import HEADS, Chances, Head, HeadModule

__all__ = ["HEADS", "Chances", "Draws", "Head", "HeadModule"]
