"""Action chunks: number of predicted actions, replanning, temporal ensembling.

Between two plans, actions come from a queue. With `ensemble: m` plans overlap: an action is the
mean of all plans for its row, and the i-th plan, oldest first, has the weight exp(-m i) (Zhao et
al. 2023, algorithm 2).

Symbols: B batch, T actions of a chunk, A actions of a row.
"""

from typing import Any

from pydantic import model_validator

from kinemill.task import RatioOrZero, RowCount, Settings


class Chunk(Settings):
    """Number of actions per prediction, and how predictions are combined."""

    length: RowCount = 1
    """actions per prediction"""
    n_action_steps: RowCount = 1
    """rows from one plan to the next"""
    ensemble: RatioOrZero | None = None
    """decay m of the weight exp(-m i) of the i-th plan; default: only the latest plan counts"""

    @model_validator(mode="after")
    def _covered(self) -> "Chunk":
        if self.n_action_steps > self.length:
            message = (
                f"a plan of {self.length} actions does not last for {self.n_action_steps} rows"
            )
            raise ValueError(message)
        return self

    def queue_shape(self, actions: int) -> tuple[int, ...] | None:
        """Return the shape of the queue without the batch, (T, A + 2); None where none is needed.

        Each row holds the weighted sum of an action's plans (A), their weight, and their number.
        """
        needed = self.n_action_steps > 1 or (self.ensemble is not None and self.length > 1)
        return (self.length, actions + 2) if needed else None

    def is_planning(self, count: Any) -> Any:
        """Return where to plan: rows so far (B, 1) -> (B, 1) 1 or 0."""
        # Modulo of a float count; the 0.5 keeps the quotient off an integer, where rounding flips.
        remainder = count - self.n_action_steps * ((count + 0.5) / self.n_action_steps).floor()
        return (remainder < 0.5).to(count.dtype)

    def join(self, chunk: Any, count: object, queue: Any) -> tuple[Any, Any]:
        """Return the action of this row (B, A), and the queue for the next row (B, T, A + 2).

        Args:
            chunk: (B, T, A), scaled actions planned now.
            count: (B, 1), rows of the episode that are done.
            queue: (B, T, A + 2), see `queue_shape`.
        """
        import torch  # reading a task does not import it

        is_planning = self.is_planning(count).unsqueeze(-1)
        plans = queue[..., -1:]
        if self.ensemble is None:
            added = torch.cat([chunk, torch.ones_like(plans), torch.ones_like(plans)], dim=-1)
            queue = torch.where(is_planning > 0.5, added, queue)
        else:
            weight = torch.exp(-self.ensemble * plans)
            added = torch.cat([weight * chunk, weight, torch.ones_like(plans)], dim=-1)
            queue = torch.where(is_planning > 0.5, queue + added, queue)
        action = queue[:, 0, :-2] / queue[:, 0, -2:-1]
        return action, torch.cat([queue[:, 1:], torch.zeros_like(queue[:, :1])], dim=1)
