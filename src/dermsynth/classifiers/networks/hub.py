"""The model `hf:`: any vision network of `transformers`, from a folder or by its name on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.vision import Vision, plain
from dermsynth.core.errors import InputError
from dermsynth.encoders.folder import PretrainedFolder, quiet_transformers

_NEEDED = ["config.json", "preprocessor_config.json", "model*.safetensors*"]
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def pretrained(choice: NetworkConfig, argument: str, size_px: int) -> Vision:
    """Return the network of a folder with its weights, or with new ones where the choice is `fresh`.

    Raises:
        InputError: what `PretrainedFolder` refuses, a name that is neither a folder nor can be fetched, or a size that
            the network cannot take.
    """
    path = _found(argument)
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


def _found(name: str) -> Path:
    """Return the folder of that name, or the one to which the hub's network of that name was fetched."""
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
