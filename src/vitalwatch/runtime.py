"""A model on bytes, run by onnxruntime alone: what serving needs, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Model:
    """An ONNX model ready to run on one thread; safe to share between threads.

    One thread per call keeps every answer independent of how many rows are asked at once, and leaves the other
    cores to other requests; a pool that spins between calls would take them.

    Attributes:
        inputs: Names of the inputs, in the graph's order.
        outputs: Names of the outputs, in the graph's order.
    """

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = False  # measured: as fast alone and in bulk, and memory goes back after a bulk
        options.log_severity_level = 3  # errors only: warnings of the optimiser are not the operator's to mend
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        self._names = list(self.outputs)

    def run(self, **inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return every output by name for the inputs by name, as the graph declares their shapes."""
        return dict(zip(self._names, self._session.run(self._names, inputs), strict=True))
