"""What encoders that are networks share: uint8 images in, float32 features out, in full precision."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    import torch

_AT_ONCE = {"cpu": 16, "cuda": 256}
"""Images computed together: on a processor few, or their maps leave its caches."""


class NetworkEncoder(ABC):
    """A network as an encoder.

    An image's features do not depend on those beside it (to rounding, about 1e-6 of their size), and every call gives
    the same. All of it is float32, whatever precision is set around it: a lower one moves features by some per cent.

    Attributes:
        name: Says in a table what features are of.
        identity: Changes with everything that changes features: weights, preparation, and how they are computed.
    """

    name: str
    identity: str

    def __init__(self, device: str | None = None) -> None:
        """Compute on `device`; default: an NVIDIA GPU, else the processor."""
        self._device = device

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return features (N x d, float32) of images (N x H x W x 3, uint8, any one size).

        Raises:
            InputError: images of another type or shape.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
            raise InputError(f"images are {images.dtype} {images.shape}; this encoder needs uint8 N x H x W x 3")
        if not len(images):
            return np.empty((0, self.dimensions), dtype=np.float32)
        count = _AT_ONCE.get(self.device.split(":")[0], 16)
        return np.concatenate([self._encode(images[first : first + count]) for first in range(0, len(images), count)])

    @cached_property
    def dimensions(self) -> int:
        """Return the number of features of an image."""
        return int(self._encode(np.zeros((1, 32, 32, 3), dtype=np.uint8)).shape[1])

    @cached_property
    def device(self) -> str:
        """Return where it computes."""
        import torch

        return self._device or ("cuda" if torch.cuda.is_available() else "cpu")

    @abstractmethod
    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return features N x d of float32 pixels N x 3 x H x W in 0..255."""

    def _encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), _exact(self.device):
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
            encoded: NDArray[np.float32] = self._features(pixels.permute(0, 3, 1, 2).float()).float().cpu().numpy()
        return encoded


@contextlib.contextmanager
def _exact(device: str) -> Iterator[None]:
    """Compute in full float32, whatever precision is set around it, and with repeatable kernels."""
    import torch

    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.autocast(device.split(":")[0], enabled=False), cudnn:
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
