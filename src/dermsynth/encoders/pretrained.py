"""Features of a pretrained vision network in `transformers`' layout, from a folder on this machine.

Distances between such features are what FID and its kin measure; they compare only within one network and one
preprocessing, so `name` says which. No pickles, no remote code, no network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.errors import InputError
from dermsynth.encoders.folder import PretrainedFolder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PREFIX = "hf:"
"""What the name of such an encoder starts with: `hf:FOLDER`."""
_AT_ONCE = {"cpu": 16, "cuda": 256}
"""Images computed together: on a processor few, or their maps leave its caches."""


class Pretrained:
    """A pretrained network as an encoder: uint8 images in, float32 features out.

    An image's features do not depend on those beside it (to rounding, about 1e-6 of their size), and every call gives
    the same. Images are resized to the network's input (bicubic with antialiasing, both sides, nothing is cropped),
    clamped to 0..255 but not rounded (clean-fid: Parmar et al. 2022, arXiv:2104.11222), scaled and normalised as
    `preprocessor_config.json` says. All of it is float32: lower precision moves features by some per cent.
    Feature maps are averaged over places where the network has no pooling of its own.

    Attributes:
        name: `hf:` with the folder's name and the first 12 digits of the weights' SHA-256.
        side_px: Height and width of the network's input.

    Raises:
        InputError: no folder, no safetensors weights, no usable preprocessing, weights that are missing, or a network
            that `transformers` does not know or that does not take colour images.
    """

    def __init__(self, folder: Path | str, *, device: str | None = None) -> None:
        """Read `folder` (`hf:` before it is ignored); `device` defaults to an NVIDIA GPU, else the processor."""
        self._folder = PretrainedFolder(Path(str(folder).removeprefix(PREFIX)).expanduser())
        self.name = f"{PREFIX}{self._folder.path.resolve().name}@{self._folder.sha256[:12]}"
        self.side_px = self._folder.preparation.side_px
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
        count = _AT_ONCE.get(self._network[0].device.type, 16)
        return np.concatenate([self._encode(images[first : first + count]) for first in range(0, len(images), count)])

    @cached_property
    def dimensions(self) -> int:
        """Return the number of features of an image."""
        return int(self._encode(np.zeros((1, *self.side_px, 3), dtype=np.uint8)).shape[1])

    def _encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        network, has_pooling = self._network
        with torch.inference_mode(), _exact(network.device):
            pixels = self._prepared(torch.from_numpy(np.ascontiguousarray(images)).to(network.device))
            found = network(pixel_values=pixels)
            if has_pooling:
                features = found.pooler_output.flatten(1)
            else:
                last = found.last_hidden_state
                features = last.mean(dim=1 if last.ndim == 3 else (2, 3))
        encoded: NDArray[np.float32] = features.float().cpu().numpy()
        return encoded

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 N x 3 x side x side, as the network was trained to see them."""
        return self._folder.preparation.of(images.permute(0, 3, 1, 2).float())

    @cached_property
    def _network(self) -> tuple[PreTrainedModel, bool]:
        """Return the network in eval mode, and whether it pools its features itself."""
        import torch

        network, may_pool = self._folder.network()
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        network = network.requires_grad_(False).eval()  # type: ignore[no-untyped-call]
        network = network.to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            found = network(pixel_values=torch.zeros(1, 3, *self.side_px, device=device))
        return network, may_pool and getattr(found, "pooler_output", None) is not None


@contextlib.contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """Compute in full float32, whatever precision is set around it, and with repeatable kernels."""
    import torch

    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.autocast(device.type, enabled=False), cudnn:
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
