"""A pretrained vision network in `transformers`' layout, in a folder on this machine. No pickles, no remote code."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

_PREPROCESSOR = "preprocessor_config.json"
_NEEDED = ["config.json", _PREPROCESSOR, "model*.safetensors*"]
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class Preparation(Config):
    """What becomes of pixels in 0..255 before a network sees them: resized, times `scale`, less mean, by deviation."""

    side_px: tuple[int, int]
    scale: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def of(self, pixels: Tensor) -> Tensor:
        """Return the prepared images, N x 3 x side, of float32 pixels N x 3 x H x W in 0..255.

        Bicubic with antialiasing, both sides, nothing is cropped; clamped but not rounded (clean-fid: Parmar et al.
        2022, arXiv:2104.11222).
        """
        import torch
        from torch.nn import functional as F

        if pixels.shape[2:] != self.side_px:
            pixels = F.interpolate(pixels, self.side_px, mode="bicubic", antialias=True).clamp_(0, 255)
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32, device=pixels.device).view(1, 3, 1, 1)
            for values in (self.mean, self.deviation)
        )
        return (pixels * self.scale - mean) / deviation


class PretrainedFolder:
    """A folder that `save_pretrained` or a download made.

    Attributes:
        path: The folder.
        preparation: How its network sees images.

    Raises:
        InputError: no folder, no safetensors weights, or no usable preprocessing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; give one that save_pretrained or a download made")
        self._files = sorted(path.glob("*.safetensors"))
        if not self._files:
            raise InputError(f"{path}: no *.safetensors file; save the network with save_pretrained")
        self.preparation = self._read_preparation()

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the weight files' bytes, one after the other: for one file what `sha256sum` prints."""
        found = hashlib.sha256()
        for path in self._files:
            with path.open("rb") as stream:
                while block := stream.read(2**20):
                    found.update(block)
        return found.hexdigest()

    def network(self) -> tuple[PreTrainedModel, bool]:
        """Return the network without its classifier, in float32, and whether it may pool its features itself.

        Raises:
            InputError: weights that are missing, of other shapes or not finite, or a network that `transformers` does
                not know or that does not take colour images.
        """
        from transformers import AutoModel

        with quiet_transformers():
            try:
                network, report = AutoModel.from_pretrained(
                    str(self.path),
                    local_files_only=True,
                    use_safetensors=True,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # they are refused below, by name
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise InputError(f"{self.path}: transformers cannot read this network ({reason})") from None
        if getattr(network.config, "num_channels", 3) != 3 or network.main_input_name != "pixel_values":
            raise InputError(f"{self.path}: this network does not take colour images; choose a vision model")
        for name, found, expected in sorted(report["mismatched_keys"]):
            raise InputError(
                f"{self.path}: the weights of '{name}' have the shape {tuple(found)}, expected {tuple(expected)}; "
                "config.json belongs to another network"
            )
        # What a checkpoint lacks is drawn at random: harmless in a pooling layer that is then not used, nowhere else.
        missing = sorted(report["missing_keys"])
        needed = [name for name in missing if "pooler" not in name]
        if needed:
            raise InputError(f"{self.path}: the weights of '{needed[0]}' are missing; save the whole network again")
        network = network.float()
        broken = _not_finite(network)
        if broken:
            raise InputError(f"{self.path}: the weights of '{broken}' are not finite; bring the folder again")
        return network, not missing

    def _read_preparation(self) -> Preparation:
        path = self.path / _PREPROCESSOR
        try:
            declared: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            cropped = declared.get("do_center_crop") and "crop_size" in declared
            side_px = _sides(declared["crop_size" if cropped else "size"])
            scale = float(declared.get("rescale_factor", 1 / 255))
            mean = [float(value) for value in declared["image_mean"]]
            deviation = [float(value) for value in declared["image_std"]]
        except FileNotFoundError:
            raise InputError(f"{path}: absent; without it the network's input size and scale are unknown") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: size, image_mean and image_std cannot be read from it ({error!r})") from None
        if len(mean) != 3 or len(deviation) != 3 or min(*side_px, *deviation) <= 0:
            raise InputError(f"{path}: expected a positive size and three means and deviations, one per colour")
        return Preparation(side_px=side_px, scale=scale, mean=tuple(mean), deviation=tuple(deviation))


def folder_of(name: str) -> Path:
    """Return the folder of that name, or the one to which the hub's network of that name was fetched.

    Raises:
        InputError: a name on the hub that cannot be fetched, with how to bring the folder.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() or not _HUB_NAME.fullmatch(name):
        return folder
    from huggingface_hub import snapshot_download

    try:
        with quiet_transformers():
            return Path(snapshot_download(name, allow_patterns=_NEEDED))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"hf:{name}: no such folder, and it cannot be fetched from the hub ({reason}). On a machine with a network "
            f"run 'hf download {name} --local-dir FOLDER', bring the folder here and give hf:FOLDER"
        ) from None


def _not_finite(network: nn.Module) -> str | None:
    state = network.state_dict()
    return next((name for name, t in state.items() if t.is_floating_point() and not t.isfinite().all()), None)


def _sides(size: Any) -> tuple[int, int]:
    """Return height and width from what preprocessors declare: a number, both sides, or the shortest edge."""
    if isinstance(size, dict):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and the report on the classifier's weights, which nobody here needs."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(50)  # CRITICAL
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
