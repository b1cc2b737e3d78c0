"""Inception-v3 with the weights of 2015, of which FID takes its features; only with these a Frechet distance is a FID.

The network is that of TensorFlow's graph `inception-2015-12-05`, which differs from the Inception-v3 of torchvision
(other weights; means that leave out the padding; a maximum instead of a mean in the last block). Images are uint8,
resized to 299 px as TensorFlow 1 did (bilinear, corner to corner, no antialiasing), less 128, by 128: the protocol of
torch-fidelity, which agrees with the original.
"""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dermsynth.cohorts.download import Remote, download
from dermsynth.core.artefacts import sha256_of
from dermsynth.core.errors import InputError
from dermsynth.encoders.cache import cache_folder
from dermsynth.encoders.network import NetworkEncoder

if TYPE_CHECKING:
    import torch

    from dermsynth.encoders.inception_network import InceptionV3

PREFIX = "inception"
"""What names this encoder: `inception`, `inception:FILE` or `inception:URL`."""
FID = "inception-2015-12-05"
"""The encoder's name with the weights that FID is defined by."""
URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_VERSION = 1
"""Goes up with every change of what is computed."""


class Inception(NetworkEncoder):
    """The 2,048 features before the last layer.

    Attributes:
        name: `inception-2015-12-05` with the weights of FID, else `inception@` and 12 digits of the file's SHA-256.

    Raises:
        InputError: a file that is absent or holds no such weights, or weights that cannot be fetched.
    """

    def __init__(self, source: str = "", *, device: str | None = None) -> None:
        """Read the weights from a file (.pth or .safetensors), or fetch them once from a URL; default: FID's own."""
        super().__init__(device)
        self.path = _fetched(source or URL) if not source or "://" in source else Path(source).expanduser()
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; give the weights of Inception, or fetch {URL}")
        sha256 = sha256_of(self.path)
        self.name = FID if sha256 == SHA256 else f"{PREFIX}@{sha256[:12]}"
        self.identity = f"inception-{_VERSION} {sha256}"

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        from dermsynth.encoders.inception_network import resized

        found: torch.Tensor = self._network((resized(pixels) - 128) / 128)
        return found

    @cached_property
    def _network(self) -> InceptionV3:
        import torch

        from dermsynth.encoders.inception_network import InceptionV3

        network = InceptionV3()
        weights = {name: tensor for name, tensor in _read(self.path).items() if not name.startswith(("fc.", "Aux"))}
        counters = {name: tensor for name, tensor in network.state_dict().items() if name.endswith("_tracked")}
        try:
            network.load_state_dict({**counters, **weights})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self.path}: these are no weights of Inception-v3 of 2015 ({reason})") from None
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise InputError(f"{self.path}: weights are not finite; fetch the file again")
        network.eval().requires_grad_(False)
        moved: InceptionV3 = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return moved


def _read(path: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Of a pickle only tensors are read; anything else in it is refused.
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be read as weights ({reason})") from None
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise InputError(f"{path}: holds no table of weights by name; fetch {URL}")
    return found


def _fetched(url: str) -> Path:
    """Return the file of FID's weights, fetched if it is not there yet."""
    remote = Remote(url)
    path = cache_folder() / "weights" / remote.name
    try:
        download([remote], path.parent)
    except InputError as error:
        raise InputError(f"{error}; or fetch {URL} elsewhere and give --encoder {PREFIX}:FILE") from None
    found = sha256_of(path)
    if found != SHA256:
        path.unlink()
        raise InputError(f"{url}: SHA-256 is {found}, that of FID's weights is {SHA256}; what came was deleted")
    return path
