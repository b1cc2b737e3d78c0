"""Features of a pretrained vision network in `transformers`' layout, such as DINOv2.

Distances between such features compare only within one network and one preprocessing, so `name` says which. No
pickles, no remote code.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dermsynth.encoders.folder import PretrainedFolder, folder_of
from dermsynth.encoders.network import NetworkEncoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PREFIX = "hf:"
"""What the name of such an encoder starts with: `hf:FOLDER`."""
_VERSION = 1
"""Goes up with every change of what is computed."""


class Pretrained(NetworkEncoder):
    """A pretrained network as an encoder.

    Images are resized to the network's input (bicubic with antialiasing, both sides, nothing is cropped), clamped to
    0..255 but not rounded (clean-fid: Parmar et al. 2022, arXiv:2104.11222), scaled and normalised as
    `preprocessor_config.json` says. The features are the network's own pooling (of DINOv2 the class token after the
    last norm, as in dgm-eval); where it has none, the mean over places or tokens.

    Attributes:
        name: `hf:` with the folder's name and the first 12 digits of the weights' SHA-256.
        side_px: Height and width of the network's input.

    Raises:
        InputError: no folder and nothing to fetch, no safetensors weights, no usable preprocessing, weights that are
            missing, or a network that `transformers` does not know or that does not take colour images.
    """

    def __init__(self, folder: Path | str, *, device: str | None = None) -> None:
        """Read a folder, or fetch a network by its name on the hub; `hf:` before either is ignored."""
        super().__init__(device)
        named = str(folder).removeprefix(PREFIX)
        self._folder = PretrainedFolder(folder_of(named))
        own = self._folder.path.resolve().name if Path(named).expanduser().is_dir() else named
        self.name = f"{PREFIX}{own}@{self._folder.sha256[:12]}"
        prepared = self._folder.preparation
        self.side_px = prepared.side_px
        self.identity = f"pretrained-{_VERSION} {self._folder.sha256} {prepared.digest()}"

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        network, has_pooling = self._network
        found = network(pixel_values=self._folder.preparation.of(pixels))
        if has_pooling:
            pooled: torch.Tensor = found.pooler_output.flatten(1)
            return pooled
        last: torch.Tensor = found.last_hidden_state
        return last.mean(dim=1 if last.ndim == 3 else (2, 3))

    @cached_property
    def _network(self) -> tuple[PreTrainedModel, bool]:
        """Return the network in eval mode, and whether it pools its features itself."""
        import torch

        network, may_pool = self._folder.network()
        network = network.requires_grad_(False).eval()
        network = network.to(self.device, memory_format=torch.channels_last)
        with torch.inference_mode():
            found = network(pixel_values=torch.zeros(1, 3, *self.side_px, device=self.device))
        return network, may_pool and getattr(found, "pooler_output", None) is not None
