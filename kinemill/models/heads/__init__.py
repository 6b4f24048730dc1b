"""Action heads: from a condition (B, E) to a chunk of actions (B, T, A), one file each.

Actions are in standard deviations of training; the first is for the present. `Head.build` returns a
`kinemill.models.networks.heads.HeadModule`.

Symbols: B batch, E values of the condition, T actions of a chunk, A actions of a row.
"""

from kinemill.task.imitation import HEADS, Head

__all__ = ["HEADS", "Head"]
