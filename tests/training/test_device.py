"""The device: precision as asked for, what a card records of it, and pixels in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers import make_cohort
from torch import nn

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.training import device
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

DTYPES = [("bf16", torch.bfloat16), ("fp32", torch.float32)]


@pytest.mark.parametrize(("precision", "dtype"), DTYPES)
def test_products_run_in_the_precision_asked_for_with_weights_in_float32(
    precision: device.Precision, dtype: torch.dtype
) -> None:
    fabric = device.make_fabric(precision)
    layer = nn.Linear(4, 4).to(fabric.device)
    with fabric.autocast():
        found = layer(torch.ones(2, 4, device=fabric.device))
    assert found.dtype == dtype
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize(("precision", "dtype"), DTYPES)
def test_the_loop_trains_in_the_precision_asked_for(
    tmp_path: Path, precision: device.Precision, dtype: torch.dtype
) -> None:
    found = set()

    def note(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        if layer.training and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.add((out.dtype, layer.weight.dtype))

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        config = TrainConfig(budget_kimg=0.02, precision=precision, snapshots=1)
        train(make_cohort(), Dcgan, DcganConfig(width=2, batch_size=8), config, tmp_path / "run")
    finally:
        hook.remove()
    assert found == {(dtype, torch.float32)}


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_bf16_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch, fast: bool, chosen: str) -> None:
    monkeypatch.setattr(device, "has_fast_bf16", lambda: fast)
    assert device.describe(device.make_fabric("auto"))["precision"] == chosen


def test_what_is_asked_for_does_not_depend_on_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast in (True, False):
        monkeypatch.setattr(device, "has_fast_bf16", lambda fast=fast: fast)
        assert device.describe(device.make_fabric("bf16"))["precision"] == "bf16-mixed"
        assert device.describe(device.make_fabric("fp32"))["precision"] == "32-true"


def test_a_card_records_device_precision_and_threads() -> None:
    fabric = device.make_fabric("fp32")
    found = device.describe(fabric)
    assert set(found) == {"device", "precision", "threads"}
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")


def test_pixels_become_minus_one_to_one_with_channels_last() -> None:
    pixels = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    pixels[0, 1, 2] = torch.tensor([0, 51, 255], dtype=torch.uint8)
    found = device.to_network(pixels, device.make_fabric("fp32"))
    assert found.shape == (2, 3, 4, 4)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found[0, :, 1, 2].cpu(), torch.tensor([-1.0, -0.6, 1.0]))


def test_every_pixel_value_comes_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat_interleave(3).reshape(1, 16, 16, 3)
    back = device.to_pixels(device.to_network(pixels, device.make_fabric("fp32")))
    assert torch.equal(back.cpu(), pixels)


def one_pixel(value: float) -> int:
    return int(device.to_pixels(torch.full((1, 3, 1, 1), value))[0, 0, 0, 0])


@pytest.mark.parametrize(("level", "expected"), [(99.6, 100), (100.4, 100), (254.6, 255), (0.4, 0)])
def test_a_level_between_two_pixel_values_becomes_the_nearer(level: float, expected: int) -> None:
    assert one_pixel(level / 127.5 - 1) == expected


@pytest.mark.parametrize(("value", "expected"), [(1.5, 255), (-1.5, 0), (300.0, 255), (-300.0, 0)])
def test_what_is_beyond_the_range_is_clamped_and_does_not_wrap(value: float, expected: int) -> None:
    assert one_pixel(value) == expected


def test_pixels_are_whole_images_in_rows_columns_channels() -> None:
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5).to(torch.bfloat16)
    found = device.to_pixels(images)
    assert found.shape == (2, 4, 5, 3)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    expected = np.rint(images.float().numpy().transpose(0, 2, 3, 1) * 127.5 + 127.5)
    np.testing.assert_array_equal(found.numpy(), expected)
