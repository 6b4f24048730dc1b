"""CUDA graph of a function: captured once, then replayed with one launch.

A step of a small model is some hundred kernels of a few microseconds, and launching them takes
longer than running them.
"""

from collections.abc import Callable

import torch

from kinemill.errors import TrainingFailed

WARM_UP = 3  # calls before the capture, in which libraries choose kernels and allocate


class CudaGraph:
    """Call `work`: the first WARM_UP times directly, later as a CUDA graph.

    A graph replays memory addresses, so tensors that `work` reads and writes must not move.

    Args:
        work: function of tensors on a GPU, without synchronization and with the same operations in
            each call.
        where: name of the setting, for the error.
    """

    def __init__(self, work: Callable[[], None], where: str) -> None:
        self._work, self._where, self._calls = work, where, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()

    def __call__(self) -> None:
        """Run `work` once.

        Raises:
            TrainingFailed: `work` cannot be captured as a CUDA graph.
        """
        if self._graph is None and self._calls < WARM_UP:
            self._calls += 1
            self._warm_up()
            return
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()

    def _warm_up(self) -> None:
        # A capture runs on a side stream, so the warm-up does too (torch notes on CUDA graphs).
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads sample the memory and load images during the capture.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            fix = f"set {self._where} to off"
            message = f"a step cannot be captured as a CUDA graph: {error}"
            raise TrainingFailed(self._where, message, fix=fix) from error
        return graph
