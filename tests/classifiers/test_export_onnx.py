"""The exported file: one file, the same answers as the fit from the same pixels, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.classifiers.asked import CHAIN, fitted
from tests.classifiers.discs import CLASSES, TEST, TRAIN, VAL

from dermsynth.classifiers import export_onnx as module
from dermsynth.classifiers.apply import NOTICE
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.export_onnx import Exported, export_onnx
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, ConfigError, InputError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("onnx")
    fitted(folder, tta=2, precision="fp32")
    (folder / "out").mkdir()
    return folder


@pytest.fixture(scope="module")
def exported(work: Path) -> Exported:
    torch.set_num_threads(1)
    return export_onnx(work / "fit", work / "out" / "model.onnx")


def test_pixels_give_the_calibrated_probabilities_of_the_fit(work: Path, exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.path)
    expected = read_predictions(work / "fit", "test").probabilities
    for count in (1, 7, len(TEST)):  # the number of images is free
        (found,) = session.run(None, {"images": TEST.images[:count]})
        np.testing.assert_allclose(found, expected[:count], atol=1e-4)
    assert read_card(work / "fit", "fit")["temperature"]["value"] != 1
    assert exported.difference < 1e-4


def test_it_is_one_file_that_says_what_it_is(work: Path, exported: Exported) -> None:
    assert [path.name for path in exported.path.parent.iterdir()] == ["model.onnx"]
    assert exported.path.stat().st_size == exported.size_bytes
    model = onnx.load(exported.path, load_external_data=False)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    onnx.checker.check_model(model)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["notice"] == NOTICE == model.doc_string
    assert json.loads(told["classes"]) == list(CLASSES)
    assert json.loads(told["size_px"]) == 32
    assert json.loads(told["preprocessing"]) == CHAIN
    (taken,) = model.graph.input
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_file_that_answers_otherwise_is_not_written(
    work: Path, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(exported.path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32([0.1, 0, 0]), bias.name))
    monkeypatch.setattr(module, "_serialised", lambda *_: model.SerializeToString())
    with pytest.raises(
        InputError, match=r"differ from torch's by up to 0\.\d+, more than 0\.0001; nothing was written"
    ):
        export_onnx(work / "fit", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_mistakes_are_said_before_anything_is_exported(
    work: Path, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"ends in '.pt', expected .onnx"):
        export_onnx(work / "fit", tmp_path / "model.pt")
    with pytest.raises(ArtefactError, match="already exists"):
        export_onnx(work / "fit", exported.path)
    with pytest.raises(ArtefactError, match="is a cohort, expected a fit"):
        export_onnx(work / "test", tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime; install it with: pip install 'dermsynth\[export\]'"):
        export_onnx(work / "fit", tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("model", "message"), [("probe:handmade", "computed outside torch"), ("knn:handmade", "are the training images")]
)
def test_what_onnx_cannot_hold_is_named(tmp_path: Path, model: str, message: str) -> None:
    made = fit(TRAIN, VAL, TEST, FitConfig(model=model), tmp_path / "fit")
    with pytest.raises(InputError, match=message):
        export_onnx(made, tmp_path / "model.onnx")
