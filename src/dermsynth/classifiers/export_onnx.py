"""Export a fit as one ONNX file that takes pixels and returns probabilities, for programs without torch."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dermsynth import __version__
from dermsynth.classifiers.apply import NOTICE
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.core import artefacts
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.core.randomness import numpy_generator

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIX = ".onnx"
TOLERANCE = 1e-4
"""The largest difference of a probability from torch's; rounding alone is about 1e-6."""
CHECKED_IMAGES = 256
_COARSE_PX = 8


@dataclass(frozen=True)
class Exported:
    """An ONNX file.

    Attributes:
        path: Of the file.
        size_bytes: Weights included.
        difference: The largest one of a probability from torch's, in float32 on the processor, on 256 made-up images.
    """

    path: Path
    size_bytes: int
    difference: float


def export_onnx(fit: Path | str, out: Path | str, *, force: bool = False) -> Exported:
    """Write a fit as one ONNX file, and check it against torch.

    Input `images`: uint8 N x S x S x 3, RGB, of the fit's side S. Output `probabilities`: float32 N x classes. In the
    graph are the normalisation, the views that the fit averages, the softmax, and the temperature of a calibrated fit;
    it computes in float32. How a photo becomes a square is not in it: the metadata say which steps that were, beside
    `classes`, `size_px`, `weights_sha256` and the `notice`.

    Args:
        fit: A folder of `fit`.
        out: The file to make; it ends in `.onnx`.
        force: Replace it.

    Raises:
        ArtefactError: no finished fit, or `out` exists and `force` is false.
        InputError: another ending, a network that ONNX cannot express, or one that answers otherwise than in torch.
        ConfigError: `onnx`, `onnxruntime` or `onnxscript` is not installed.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: ends in '{out.suffix}', expected {SUFFIX}")
    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    _need_libraries()
    classifier = TrainedClassifier.open(fit)
    whole = _whole(classifier)
    data = _serialised(whole, classifier)
    difference = _difference(whole, data, classifier.size_px)
    if not difference <= TOLERANCE:
        raise InputError(
            f"{fit}: the exported network's probabilities differ from torch's by up to {difference:.2g}, more than "
            f"{TOLERANCE:g}; nothing was written. Another version of torch or onnxruntime may do better"
        )
    with artefacts.explained_disk_errors(out):
        artefacts.write_atomically(out, data)
    return Exported(out, len(data), difference)


def _need_libraries() -> None:
    try:
        for name in ("onnx", "onnxruntime", "onnxscript"):
            importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"the export needs {error.name}; install it with: pip install 'dermsynth[export]'") from None


def _whole(classifier: TrainedClassifier) -> nn.Module:
    """Return pixels -> probabilities as one module on the processor."""
    import torch
    from torch import nn

    from dermsynth.cohorts.augment.geometry import views
    from dermsynth.metrics.temperature import LEAST

    if classifier.network["head"] == "knn":
        raise InputError(f"{classifier.path}: neighbours are the training images themselves; export a probe instead")
    if classifier.network["backbone"] == "handmade":
        raise InputError(f"{classifier.path}: handmade features are computed outside torch; fit a network to export it")
    network = classifier.loaded()

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network.backbone, network.head

        def forward(self, images: Tensor) -> Tensor:
            seen = (images.float() / 127.5 - 1).permute(0, 3, 1, 2)
            each = [
                self.head(self.backbone(view).float()).softmax(dim=1) for view in views(seen, classifier.config.tta)
            ]
            found = torch.stack(each).mean(dim=0)
            if classifier.temperature is None:
                return found
            return (found.clamp_min(LEAST).log() / classifier.temperature).softmax(dim=1)

    return Whole().eval()


def _serialised(whole: nn.Module, classifier: TrainedClassifier) -> bytes:
    """Return the model as the bytes of one file, weights and metadata included."""
    import onnx
    import torch

    side = classifier.size_px
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it announces that torchvision is absent
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                dynamic_shapes={"images": {0: torch.export.Dim("images")}},
                input_names=["images"],
                output_names=["probabilities"],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{classifier.path}: torch cannot export this network ({reason})") from None
    finally:
        logger.setLevel(level)
    # Written by torch, the weights of a large model would land in a second file; serialised whole they cannot.
    proto = program.model_proto
    proto.producer_name, proto.producer_version = "dermsynth", __version__
    proto.doc_string = NOTICE
    told = {
        "classes": list(classifier.classes),
        "size_px": side,
        "preprocessing": classifier.card.get("preprocessing"),
        "model": classifier.config.model,
        "weights_sha256": classifier.sha256,
    }
    onnx.helper.set_model_props(proto, {"notice": NOTICE, **{name: json.dumps(value) for name, value in told.items()}})
    data: bytes = proto.SerializeToString()
    return data


def _difference(whole: nn.Module, data: bytes, size_px: int) -> float:
    """Return the largest difference of a probability between the file and torch."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    largest, images = 0.0, _images(size_px)
    for start in range(0, len(images), 16):
        part = images[start : start + 16]
        (found,) = session.run(None, {"images": part})
        with torch.no_grad():
            expected = whole(torch.from_numpy(part)).numpy()
        # A NaN stays: it is no agreement.
        largest = float(np.maximum(largest, np.abs(found - expected).max()))
    return largest


def _images(size_px: int) -> NDArray[np.uint8]:
    """Return coarse patches of colour under noise of every strength: far apart, so that probabilities differ."""
    generator = numpy_generator(0, "onnx check")
    coarse = generator.uniform(0, 255, (CHECKED_IMAGES, _COARSE_PX, _COARSE_PX, 3))
    times = -(-size_px // _COARSE_PX)
    smooth = coarse.repeat(times, axis=1).repeat(times, axis=2)[:, :size_px, :size_px]
    strength = np.linspace(0, 60, CHECKED_IMAGES).reshape(-1, 1, 1, 1)
    return (smooth + strength * generator.standard_normal(smooth.shape)).clip(0, 255).astype(np.uint8)
