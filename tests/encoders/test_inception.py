"""Inception-v3 against a forward pass written out operation by operation, its resize against the definition."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dermsynth.cohorts import download
from dermsynth.core.errors import InputError
from dermsynth.encoders import inception as module
from dermsynth.encoders.inception import FID, Inception
from dermsynth.encoders.inception_network import InceptionV3, resized

State = dict[str, Tensor]


def images(n: int, size_px: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size_px, size_px, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def state() -> State:
    """Return random weights by the published names, that keep values in a usable range through 94 layers."""
    generator = torch.Generator().manual_seed(0)
    found: State = {}
    for name, tensor in InceptionV3().state_dict().items():
        draw = torch.randn(tensor.shape, generator=generator)
        if name.endswith("conv.weight"):
            found[name] = draw * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("weight", "running_var")):
            found[name] = 1 + 0.2 * draw.abs()
        elif not name.endswith("tracked"):
            found[name] = 0.1 * draw
    return {**found, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


@pytest.fixture(scope="module")
def weights(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def encoder(weights: Path) -> Inception:
    return Inception(str(weights))


def written_out(state: State, x: Tensor) -> Tensor:
    """Return the pooled features of images N x 3 x 299 x 299, by the paper's table of layers and the graph of 2015."""

    def conv(y: Tensor, name: str, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
        y = F.conv2d(y, state[f"{name}.conv.weight"], stride=stride, padding=padding)
        moments = [state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(y, *moments, training=False, eps=0.001).clamp(min=0)

    def mean(y: Tensor) -> Tensor:
        inside = F.avg_pool2d(torch.ones_like(y), 3, stride=1, padding=1)
        return F.avg_pool2d(y, 3, stride=1, padding=1) / inside  # over the pixels that are there

    x = conv(conv(conv(x, "Conv2d_1a_3x3", 2), "Conv2d_2a_3x3"), "Conv2d_2b_3x3", padding=(1, 1))
    x = conv(conv(F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3")
    x = F.max_pool2d(x, 3, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        double = conv(conv(x, f"{name}.branch3x3dbl_1"), f"{name}.branch3x3dbl_2", padding=(1, 1))
        parts = [
            conv(x, f"{name}.branch1x1"),
            conv(conv(x, f"{name}.branch5x5_1"), f"{name}.branch5x5_2", padding=(2, 2)),
            conv(double, f"{name}.branch3x3dbl_3", padding=(1, 1)),
            conv(mean(x), f"{name}.branch_pool"),
        ]
        x = torch.cat(parts, 1)
    double = conv(conv(x, "Mixed_6a.branch3x3dbl_1"), "Mixed_6a.branch3x3dbl_2", padding=(1, 1))
    parts = [conv(x, "Mixed_6a.branch3x3", 2), conv(double, "Mixed_6a.branch3x3dbl_3", 2), F.max_pool2d(x, 3, 2)]
    x = torch.cat(parts, 1)
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        one = conv(conv(x, f"{name}.branch7x7_1"), f"{name}.branch7x7_2", padding=(0, 3))
        two = conv(conv(x, f"{name}.branch7x7dbl_1"), f"{name}.branch7x7dbl_2", padding=(3, 0))
        two = conv(conv(two, f"{name}.branch7x7dbl_3", padding=(0, 3)), f"{name}.branch7x7dbl_4", padding=(3, 0))
        parts = [
            conv(x, f"{name}.branch1x1"),
            conv(one, f"{name}.branch7x7_3", padding=(3, 0)),
            conv(two, f"{name}.branch7x7dbl_5", padding=(0, 3)),
            conv(mean(x), f"{name}.branch_pool"),
        ]
        x = torch.cat(parts, 1)
    one = conv(conv(x, "Mixed_7a.branch3x3_1"), "Mixed_7a.branch3x3_2", 2)
    two = conv(conv(x, "Mixed_7a.branch7x7x3_1"), "Mixed_7a.branch7x7x3_2", padding=(0, 3))
    two = conv(conv(two, "Mixed_7a.branch7x7x3_3", padding=(3, 0)), "Mixed_7a.branch7x7x3_4", 2)
    x = torch.cat([one, two, F.max_pool2d(x, 3, 2)], 1)
    for name, pooled in (("Mixed_7b", mean), ("Mixed_7c", lambda y: F.max_pool2d(y, 3, 1, 1))):
        one = conv(x, f"{name}.branch3x3_1")
        two = conv(conv(x, f"{name}.branch3x3dbl_1"), f"{name}.branch3x3dbl_2", padding=(1, 1))
        parts = [
            conv(x, f"{name}.branch1x1"),
            conv(one, f"{name}.branch3x3_2a", padding=(0, 1)),
            conv(one, f"{name}.branch3x3_2b", padding=(1, 0)),
            conv(two, f"{name}.branch3x3dbl_3a", padding=(0, 1)),
            conv(two, f"{name}.branch3x3dbl_3b", padding=(1, 0)),
            conv(pooled(x), f"{name}.branch_pool"),
        ]
        x = torch.cat(parts, 1)
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


def as_tensorflow_resizes(image: np.ndarray) -> np.ndarray:
    """Return one colour at 299 px: pixel i lies at i times the ratio of the sides, between the two around it."""
    places = np.arange(299, dtype=np.float32) * np.float32(len(image) / 299)
    low = places.astype(int)
    high, part = np.minimum(low + 1, len(image) - 1), places - low
    rows = image[low] + (image[high] - image[low]) * part[:, None]
    return rows[:, low] + (rows[:, high] - rows[:, low]) * part


def test_features_are_those_of_the_network_written_out(encoder: Inception, state: State) -> None:
    pixels = images(2, 299)
    with torch.no_grad():
        expected = written_out(state, (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 128) / 128)
    found = encoder.encode(pixels)
    assert found.shape == (2, encoder.dimensions) == (2, 2048)
    assert expected.std(dim=0).mean() > 1e-3  # the features tell the images apart
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size_px", [28, 64, 299, 450])
def test_images_are_resized_as_tensorflow_1_does(size_px: int) -> None:
    pixels = images(1, size_px).astype(np.float32)
    found = resized(torch.from_numpy(pixels).permute(0, 3, 1, 2))[0].numpy()
    for colour in range(3):
        np.testing.assert_allclose(found[colour], as_tensorflow_resizes(pixels[0, ..., colour]), atol=1e-3)


def test_an_image_of_another_shape_than_square_is_resized_too() -> None:
    assert resized(torch.zeros(2, 3, 20, 50)).shape == (2, 3, 299, 299)


def test_a_safetensors_file_is_read_as_well(encoder: Inception, state: State, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state, tmp_path / "inception.safetensors")
    other = Inception(str(tmp_path / "inception.safetensors"))
    pixels = images(1, 32)
    np.testing.assert_array_equal(other.encode(pixels), encoder.encode(pixels))
    assert other.identity != encoder.identity  # of another file nobody knows that it says the same


def test_only_the_weights_of_fid_are_called_so(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert Inception(str(weights)).name == f"inception@{digest[:12]}"
    monkeypatch.setattr(module, "SHA256", digest)
    assert Inception(str(weights)).name == FID


def damaged(state: State, kind: str) -> object:
    if kind == "missing":
        return {name: tensor for name, tensor in state.items() if name != "Mixed_6b.branch7x7_2.conv.weight"}
    if kind == "other shape":
        return {**state, "Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}
    if kind == "not finite":
        return {**state, "Conv2d_1a_3x3.bn.bias": torch.full((32,), torch.nan)}
    if kind == "a network":
        return torch.nn.Linear(2, 2)
    return [1, 2]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "Mixed_6b.branch7x7_2.conv.weight"),
        ("other shape", "no weights of Inception-v3 of 2015"),
        ("not finite", "not finite"),
        ("a network", "cannot be read as weights"),  # a pickled class would run code
        ("a list", "holds no table of weights by name"),
    ],
)
def test_other_files_are_refused_in_one_line(state: State, tmp_path: Path, kind: str, message: str) -> None:
    torch.save(damaged(state, kind), tmp_path / "file.pth")
    with pytest.raises(InputError, match=message) as caught:
        Inception(str(tmp_path / "file.pth")).encode(images(1, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["torn.pth", "torn.safetensors"])
def test_a_torn_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(InputError, match="cannot be read as weights"):
        Inception(str(tmp_path / name)).encode(images(1, 32))


def test_a_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pth: no such file"):
        Inception(str(tmp_path / "absent.pth"))


DATA = b"weights" * 99


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a file on a server of this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            self.wfile.write(DATA)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path / "cache"))
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/inception.pth", asked
    running.shutdown()
    running.server_close()


def test_weights_are_fetched_once_and_kept(
    server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, asked = server
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(DATA).hexdigest())
    monkeypatch.setattr(module, "URL", url)
    assert Inception().name == Inception(url).name == FID
    assert asked == ["/inception.pth"]
    assert (tmp_path / "cache" / "weights" / "inception.pth").read_bytes() == DATA


def test_weights_with_another_checksum_are_deleted(server: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"SHA-256 is .*, that of FID's weights is 6726825d.*; what came was deleted"):
        Inception(server[0])
    assert not (tmp_path / "cache" / "weights" / "inception.pth").exists()


def test_without_a_network_the_error_says_what_to_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path))
    monkeypatch.setattr(download, "TRIES", 1)
    monkeypatch.setattr(module, "URL", "http://127.0.0.1:9/inception.pth")
    with pytest.raises(InputError, match=r"no connection .* elsewhere and give --encoder inception:FILE"):
        Inception()
