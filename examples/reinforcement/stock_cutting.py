"""Two-dimensional stock cutting: which of the ordered pieces to cut next, and out of which sheet.

Sheets of one size lie ready; a piece is cut by guillotine, at the lowest and leftmost place where
it fits. An action is structured: the kind of the piece, whether it is turned, and the sheet. Its
three parts are chosen together as one number, so that exactly the combinations that fit are
allowed; the mask forbids all others. An episode ends when no piece that is left fits anywhere.

The reward of a cut is the area of the piece over that of a sheet, less `opening` when it is the
first one out of its sheet; so the return grows with the cut area and falls with the number of
sheets.

`StructuredStockCutting` decides the same in two sub-steps, each with its own observation, choices
and mask: `piece` selects a kind, then `cut` selects how it is turned and the sheet.

    kinemill run examples/reinforcement/stock_cutting.yaml
    kinemill run examples/reinforcement/stock_cutting_structured.yaml
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

Cells = np.ndarray  # (height, width) of a sheet, True where it has been cut


class StockCutting(gymnasium.Env):
    """Cut rectangles out of sheets.

    Args:
        sheets: number of sheets.
        size: width and height of each, cells.
        kinds: of pieces that are ordered.
        most: ordered of each kind.
        opening: cost of the first cut from a sheet.
        render_mode: `rgb_array`, or None.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        sheets: int = 3,
        size: tuple[int, int] = (6, 6),
        kinds: int = 4,
        most: int = 3,
        opening: float = 0.5,
        render_mode: str | None = None,
    ) -> None:
        self.sheets, self.size, self.kinds, self.most = sheets, tuple(size), kinds, most
        self.opening, self.render_mode = opening, render_mode
        choices = kinds * 2 * sheets
        self.action_space = Discrete(choices)
        numbers = sheets * size[0] * size[1] + 3 * kinds
        self.observation_space = Dict(
            {
                "observation": Box(0.0, 1.0, (numbers,), np.float32),
                "action_mask": Box(0, 1, (choices,), np.int8),
            }
        )

    def parts_of(self, action: int) -> tuple[int, bool, int]:
        """Return the kind of the piece, whether it is turned, and the sheet."""
        kind, rest = divmod(int(action), 2 * self.sheets)
        turned, sheet = divmod(rest, self.sheets)
        return kind, bool(turned), sheet

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Draw an order; all sheets are whole."""
        super().reset(seed=seed, options=options)
        width, height = self.size
        self._cut = np.zeros((self.sheets, height, width), bool)
        self._pieces = self.np_random.integers(1, [width, height // 2 + 1], (self.kinds, 2))
        self._remaining = self.np_random.integers(1, self.most + 1, self.kinds)
        return self._observation(), {}

    def step(self, action: int) -> Any:
        """Cut one piece.

        Raises:
            ValueError: it does not fit, or none of its kind is ordered.
        """
        kind, turned, sheet = self.parts_of(action)
        position = self._find_position(kind, turned, sheet)
        if self._remaining[kind] == 0 or position is None:
            message = f"piece {kind}, turned: {turned}, cannot be cut out of sheet {sheet}"
            raise ValueError(message)
        fresh = not self._cut[sheet].any()
        width, height = self._shape(kind, turned)
        self._cut[sheet, position[0] : position[0] + height, position[1] : position[1] + width] = (
            True
        )
        self._remaining[kind] -= 1
        area = width * height / (self.size[0] * self.size[1])
        observation = self._observation()
        over = not observation["action_mask"].any()
        if over:
            observation["action_mask"][:] = (
                1  # the episode is over; a mask of zeros would be invalid
            )
        info = {"cut": area, "sheets_opened": float(fresh)}
        if over:
            info["is_success"] = bool(self._remaining.sum() == 0)
        return observation, area - self.opening * fresh, over, False, info

    def _shape(self, kind: int, turned: bool) -> tuple[int, int]:
        width, height = map(int, self._pieces[kind])
        return (height, width) if turned else (width, height)

    def _find_position(self, kind: int, turned: bool, sheet: int) -> tuple[int, int] | None:
        """Return the lowest, then leftmost place where a piece fits."""
        width, height = self._shape(kind, turned)
        if width > self.size[0] or height > self.size[1]:
            return None
        # Cells cut below and left of each corner: a rectangle is free where the sum is zero.
        sums = np.zeros((self.size[1] + 1, self.size[0] + 1), int)
        sums[1:, 1:] = self._cut[sheet].cumsum(0).cumsum(1)
        inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        free = np.argwhere(inside + sums[:-height, :-width] == 0)
        return None if len(free) == 0 else (int(free[0, 0]), int(free[0, 1]))

    def _observation(self) -> dict[str, Any]:
        mask = np.zeros(self.action_space.n, np.int8)
        for action in range(len(mask)):
            kind, turned, sheet = self.parts_of(action)
            if self._remaining[kind] and self._find_position(kind, turned, sheet) is not None:
                mask[action] = 1
        pieces = np.column_stack([self._pieces / max(self.size), self._remaining / self.most])
        numbers = np.concatenate([self._cut.reshape(-1), pieces.reshape(-1)])
        return {"observation": numbers.astype(np.float32), "action_mask": mask}

    def render(self) -> Any:
        """Draw the sheets side by side, cut cells dark."""
        cells = np.concatenate([np.pad(one, 1) for one in self._cut], axis=1)
        gray = np.where(cells, 60, 230).astype(np.uint8)
        return np.repeat(np.repeat(gray, 12, 0), 12, 1)[..., None].repeat(3, axis=2)


class StructuredStockCutting(StockCutting):
    """Stock cutting in two sub-steps: `agent_selection` names the one whose turn it is.

    Args:
        settings: of `StockCutting`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        numbers = self.observation_space["observation"].shape[0]
        self.action_spaces = {"piece": Discrete(self.kinds), "cut": Discrete(2 * self.sheets)}
        # A cut observes the selected kind, too.
        self.observation_spaces = {
            name: Dict(
                {
                    "observation": Box(0.0, 1.0, (numbers + more,), np.float32),
                    "action_mask": Box(0, 1, (int(self.action_spaces[name].n),), np.int8),
                }
            )
            for name, more in {"piece": 0, "cut": self.kinds}.items()
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Draw an order; a piece is selected first."""
        self._flat, info = super().reset(seed=seed, options=options)
        self.agent_selection = "piece"
        return self._turn(), info

    def step(self, action: int) -> Any:
        """Select a piece, or cut it."""
        if self.agent_selection == "piece":
            self.agent_selection, self._kind = "cut", int(action)
            return self._turn(), 0.0, False, False, {}
        self.agent_selection = "piece"
        flat = self._kind * 2 * self.sheets + int(action)
        self._flat, reward, over, truncated, info = super().step(flat)
        return self._turn(), reward, over, truncated, info

    def _turn(self) -> dict[str, Any]:
        numbers, allowed = self._flat["observation"], self._flat["action_mask"]
        by_kind = allowed.reshape(self.kinds, -1)
        if self.agent_selection == "piece":
            return {"observation": numbers, "action_mask": by_kind.max(axis=1)}
        selected = np.eye(self.kinds, dtype=np.float32)[self._kind]
        mask = by_kind[self._kind]
        return {"observation": np.concatenate([numbers, selected]), "action_mask": mask}
