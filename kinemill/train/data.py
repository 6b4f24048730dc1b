"""Windows of packed episodes as tensors, gathered batch by batch."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.store.machine import GIB
from kinemill.train.estimator import Estimator, estimator_weights, known_rows
from kinemill.train.layout import Layout
from kinemill.train.memory import gpu_memory


@dataclass(frozen=True)
class Windows:
    """All windows of one split: H + T rows each, indexed by their first row.

    Attributes:
        values: (N, S + A) float32 in task units, on the training device.
        starts: (W,) int64, first row of each window.
        history: H.
        horizon: T.
        states: S.
        outputs: (N, Y) float32, channels that are predicted but not fed back; None without any.
        estimator: estimates derived states of a history, as at run time; None: as recorded, see
            `surplus_rows`. The estimate uses rows before the H rows from `starts`.
    """

    values: Tensor
    starts: Tensor
    history: int
    horizon: int
    states: int
    outputs: Tensor | None = None
    estimator: Estimator | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def gather(self, which: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (B, H, S) states, (B, H-1, A) past actions, (B, T, A) actions, (B, T, S) truth.

        `which` holds window numbers (B,); all results are in task units. The last truth needs no
        action, so a window of H + T rows holds H + T - 1 actions.
        """
        rows = self.history + self.horizon
        index = self.starts[which].unsqueeze(1) + torch.arange(rows, device=self.starts.device)
        window = self.values.index_select(0, index.flatten()).view(len(which), rows, -1)
        states = window[..., : self.states]
        actions = window[..., self.states :]
        history = self.history
        return (
            self._estimated(states[:, :history], which),
            actions[:, : history - 1],
            actions[:, history - 1 : -1],
            states[:, history:],
        )

    def _estimated(self, states: Tensor, which: Tensor) -> Tensor:
        """Return a history (B, H, S) with derived states as they are estimated at run time.

        The filter of the dataset is not causal. A model that starts from its values would learn to
        use the future.
        """
        if self.estimator is None:
            return states
        surplus = self.estimator.rows - self.history
        back = torch.arange(-surplus, self.history, device=self.starts.device)
        rows = self.starts[which].unsqueeze(1) + back
        window = self.values[rows.flatten()].view(*rows.shape, -1)[..., : self.states]
        return self.estimator(window)[:, surplus:]

    def gather_channels(self, which: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the tensors of `gather`, with outputs in the truth, (B, T, S + Y).

        Row k of the truth holds the state after action k, and the outputs at the row of action k.
        """
        states, past, actions, truth = self.gather(which)
        if self.outputs is None:
            return states, past, actions, truth
        first = self.history - 1
        device = self.starts.device
        offsets = torch.arange(first, first + self.horizon, device=device)
        rows = self.starts[which].unsqueeze(1) + offsets
        outputs = self.outputs[rows.flatten()].view(*rows.shape, -1)
        return states, past, actions, torch.cat([truth, outputs], dim=-1)


def make_windows(
    dataset: PackedDataset, split: str, layout: Layout, horizon: int, *, most: int | None = None
) -> Windows:
    """Return the windows of `split`, H + `horizon` rows each; with `most`, an evenly spaced subset.

    Raises:
        BadInput: No episode of the split is long enough for one window.
    """
    surplus = surplus_rows(layout)
    rows = surplus + layout.history + horizon
    starts = dataset.window_starts(split, rows) + surplus
    if len(starts) == 0:
        raise BadInput(
            f"{split} split of {dataset.task}",
            f"no episode has {rows} steps (learn.history + learn.horizon)"
            if not surplus
            else f"no episode has {rows} steps ({surplus} of them estimate derived states)",
            fix="shorten learn.history or learn.horizon, or add longer logs",
        )
    if most is not None:
        starts = evenly_spaced(starts, most)
    return Windows(
        values=torch.from_numpy(dataset.copy_values()),
        starts=torch.from_numpy(np.asarray(starts, dtype=np.int64)),
        history=layout.history,
        horizon=horizon,
        states=len(layout.states),
        outputs=_output_values(dataset, layout),
        estimator=Estimator(layout, estimator_weights(dataset, layout))
        if layout.derived and layout.history > 1
        else None,
    )


def surplus_rows(layout: Layout) -> int:
    """Return the rows before the history of a training window, for estimates of derived states.

    A model with a history would learn the future from a filter that is not causal: NARX models of
    a pendulum had an nRMSE of 0.041 with filtered values, and 0.017 with estimates. A model without
    a history is trained with filtered values, because the error of an estimate biases it: rigid
    bodies had an nRMSE of 0.022 with filtered values, and 0.025 with estimates.
    """
    return known_rows(layout) - layout.history if layout.derived and layout.history > 1 else 0


def _output_values(dataset: PackedDataset, layout: Layout) -> Tensor | None:
    """Return the outputs of every row, (N, Y), in the order of the layout; None without any.

    Raises:
        BadInput: The dataset lacks one.
    """
    names = layout.output_channels
    if not names:
        return None
    if dataset.output_values is None or set(names) - set(dataset.outputs):
        raise BadInput(
            f"dataset of {dataset.task}",
            f"has the outputs {', '.join(dataset.outputs) or 'none'}",
            expected=", ".join(names),
            fix="build the dataset with the channels of this task",
        )
    columns = [dataset.outputs.index(name) for name in names]
    return torch.from_numpy(np.array(dataset.output_values[:, columns], dtype=np.float32))


def window_weights(dataset: PackedDataset, layout: Layout, horizon: int) -> Tensor | None:
    """Return the sampling weight of each training window, (W,) float64; None if all are equal.

    A short episode has fewer windows per row than a long one. The windows of an episode share the
    weight of its rows, so that each episode keeps its share in the dataset's `balance`.
    """
    episodes = dataset.of("train")
    length = surplus_rows(layout) + layout.history + horizon
    if all(episode.weight == 1.0 for episode in episodes):
        return None
    counts = np.array([max(episode.rows - length + 1, 0) for episode in episodes])
    of_rows = np.array([episode.weight * episode.rows for episode in episodes])
    row_weights = np.divide(of_rows, counts, out=np.zeros(len(counts)), where=counts > 0)
    weights = np.repeat(row_weights, counts)
    return torch.from_numpy(weights / weights.mean())


def on_device(windows: Windows, device: torch.device) -> Windows:
    """Return the same windows with their tensors on `device`.

    Raises:
        BadInput: The windows do not fit into the free memory of the GPU.
    """
    needed = sum(
        tensor.nbytes
        for tensor in (windows.values, windows.starts, windows.outputs)
        if tensor is not None
    )
    if device.type == "cuda" and needed > (memory := gpu_memory(device)).free:
        raise BadInput(
            "learn.device: cuda",
            f"the rows of the dataset take {needed / GIB:.3g} GiB, and {memory}",
            fix="set learn.device: cpu, or select fewer recordings",
        )
    moved = {
        name: part.to(device)
        for name in ("values", "starts", "outputs", "estimator")
        if (part := getattr(windows, name)) is not None
    }
    return replace(windows, **moved)
