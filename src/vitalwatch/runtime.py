"""A model on bytes, run by onnxruntime alone: what serving needs, and nothing else."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FLOAT32 = np.dtype(np.float32)


class Asked(Protocol):
    """Whatever answers features (n, f) by name, such as `Model`."""

    def run(self, *, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return every output by name."""
        ...


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
        self._mine = threading.local()

    def run(self, **inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return every output by name for the inputs by name, as the graph declares their shapes."""
        bound: _OneRow | None = getattr(self._mine, "bound", None)
        if bound is not None and bound.takes(inputs):
            return bound.run()
        told = dict(zip(self._names, self._session.run(self._names, inputs), strict=True))
        if bound is None and all(len(value) == 1 for value in inputs.values()):
            self._mine.bound = _OneRow(self._session, inputs, told)
        return told


class _OneRow:
    """A model's inputs and outputs of one row, bound once for a thread: half of a short run is making them anew."""

    def __init__(
        self, session: Any, inputs: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]
    ) -> None:
        from onnxruntime import OrtValue

        self._session, self._binding = session, session.io_binding()
        self._inputs = {name: np.zeros(value.shape, np.float32) for name, value in inputs.items()}
        self._outputs = {name: np.zeros(value.shape, np.float32) for name, value in outputs.items()}
        for name, value in self._inputs.items():  # an OrtValue on the processor shares the array's memory
            self._binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(value))
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))

    def takes(self, inputs: dict[str, NDArray[np.float32]]) -> bool:
        """Take inputs of one row and return True; others, wrong ones too, are onnxruntime's to judge."""
        for name, value in inputs.items():
            bound = self._inputs.get(name)
            if bound is None or value.shape != bound.shape or value.dtype != FLOAT32:
                return False
            bound[...] = value
        return len(inputs) == len(self._inputs)

    def run(self) -> dict[str, NDArray[np.float32]]:
        """Return every output by name for what was taken last."""
        self._session.run_with_iobinding(self._binding)
        return {name: value.copy() for name, value in self._outputs.items()}
