"""Data-parallel training: each device holds all weights and works on its share of every batch.

The step itself is written for the whole batch; the compiler splits it along the batch and adds up what belongs
together (gradients, and the moments of batch norm, which are those of the whole batch).
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from recsys_pipeline.core.errors import SettingError


class Placement:
    """Where arrays go: as they are on one device, or spread over a mesh of several."""

    def __init__(self, n_devices: int) -> None:
        devices = jax.devices()
        if n_devices > len(devices):
            raise SettingError(f"n_devices={n_devices}, but there are {len(devices)} devices: take fewer")
        self._split = self._copy = None
        if n_devices > 1:
            mesh = jax.sharding.Mesh(np.array(devices[:n_devices]), ("batch",), axis_types=(AxisType.Auto,))
            self._split, self._copy = (NamedSharding(mesh, PartitionSpec(*names)) for names in (("batch",), ()))

    def batch(self, arrays: Any) -> Any:
        """Arrays whose first axis is shared out."""
        return arrays if self._split is None else jax.device_put(arrays, self._split)

    def state(self, arrays: Any) -> Any:
        """Arrays of which every device holds a copy."""
        return arrays if self._copy is None else jax.device_put(arrays, self._copy)
