"""Features of a pretrained vision network in `transformers`' layout, from a folder on this machine.

Distances between such features are what FID and its kin measure; they compare only within one network and one
preprocessing, so `name` says which. No pickles, no remote code, no network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PREFIX = "hf:"
"""What the name of such an encoder starts with: `hf:FOLDER`."""
_PREPROCESSOR = "preprocessor_config.json"
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
        self.folder = Path(str(folder).removeprefix(PREFIX)).expanduser()
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; give one that save_pretrained or a download made")
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise InputError(f"{self.folder}: no *.safetensors file; save the network with save_pretrained")
        self.name = f"{PREFIX}{self.folder.resolve().name}@{_digest(files)[:12]}"
        self._read_preprocessing()
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
        import torch
        from torch.nn import functional as F

        pixels = images.permute(0, 3, 1, 2).float()
        if pixels.shape[2:] != self.side_px:
            pixels = F.interpolate(pixels, self.side_px, mode="bicubic", antialias=True).clamp_(0, 255)
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32, device=images.device).view(1, 3, 1, 1)
            for values in (self._mean, self._deviation)
        )
        return (pixels * self._scale - mean) / deviation

    @cached_property
    def _network(self) -> tuple[PreTrainedModel, bool]:
        """Return the network in eval mode, and whether it pools its features itself."""
        import torch
        from transformers import AutoModel

        with _quiet_transformers():
            try:
                network, report = AutoModel.from_pretrained(
                    str(self.folder), local_files_only=True, use_safetensors=True, output_loading_info=True
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise InputError(f"{self.folder}: transformers cannot read this network ({reason})") from None
        if getattr(network.config, "num_channels", 3) != 3 or network.main_input_name != "pixel_values":
            raise InputError(f"{self.folder}: this network does not take colour images; choose a vision model")
        # What a checkpoint lacks is drawn at random: harmless in a pooling layer that is then not used, nowhere else.
        missing = sorted(report["missing_keys"])
        needed = [name for name in missing if "pooler" not in name]
        if needed:
            raise InputError(f"{self.folder}: the weights of '{needed[0]}' are missing; save the whole network again")
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        network = network.float().eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            found = network(pixel_values=torch.zeros(1, 3, *self.side_px, device=device))
        return network, not missing and getattr(found, "pooler_output", None) is not None

    def _read_preprocessing(self) -> None:
        path = self.folder / _PREPROCESSOR
        try:
            declared: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            cropped = declared.get("do_center_crop") and "crop_size" in declared
            self.side_px = _sides(declared["crop_size" if cropped else "size"])
            self._scale = float(declared.get("rescale_factor", 1 / 255))
            self._mean = [float(value) for value in declared["image_mean"]]
            self._deviation = [float(value) for value in declared["image_std"]]
        except FileNotFoundError:
            raise InputError(f"{path}: absent; without it the network's input size and scale are unknown") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: size, image_mean and image_std cannot be read from it ({error!r})") from None
        if len(self._mean) != 3 or len(self._deviation) != 3 or min(*self.side_px, *self._deviation) <= 0:
            raise InputError(f"{path}: expected a positive size and three means and deviations, one per colour")


def _sides(size: Any) -> tuple[int, int]:
    """Return height and width from what preprocessors declare: a number, both sides, or the shortest edge."""
    if isinstance(size, dict):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _digest(files: list[Path]) -> str:
    """Return the SHA-256 of the files' bytes, one after the other: for one file what `sha256sum` prints."""
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                found.update(block)
    return found.hexdigest()


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


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence progress bars and the report on the classifier's weights, which an encoder does not need."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(50)  # CRITICAL
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
