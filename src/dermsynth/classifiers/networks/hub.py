"""The model `hf:`: any vision network of `transformers`, from a folder or by its name on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.vision import Vision, plain
from dermsynth.encoders.folder import PretrainedFolder, folder_of


def pretrained(choice: NetworkConfig, argument: str, size_px: int) -> Vision:
    """Return the network of a folder with its weights, or with new ones where the choice is `fresh`.

    Raises:
        InputError: what `PretrainedFolder` refuses, a name that is neither a folder nor can be fetched, or a size that
            the network cannot take.
    """
    path = folder_of(argument)
    folder = PretrainedFolder(path)
    network, may_pool = folder.network()
    preparation = folder.preparation
    if choice.input_px is not None:
        preparation = preparation.changed(side_px=(choice.input_px, choice.input_px))
    made = Vision(plain(network.config), preparation=preparation.canonical(), pools=may_pool)
    if not choice.fresh:
        # A pooling layer without weights of its own is not in the network that was made.
        made.network.load_state_dict(network.state_dict(), strict=may_pool)
    name = path.resolve().name if Path(argument).expanduser().is_dir() else argument
    made.origin = {"name": name, "sha256": folder.sha256, "fresh": choice.fresh}
    return made
