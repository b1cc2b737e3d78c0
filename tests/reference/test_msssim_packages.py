"""Multi-scale structural similarity against pytorch-msssim, torchmetrics and SciPy, at the scales that fit the size."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_msssim
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as by_torchmetrics

from dermsynth.metrics.ssim import WEIGHTS, ms_ssim, scales


def pairs(side_px: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(side_px)
    coarse = generator.integers(0, 256, (3, 8, 8, 3)).repeat(-(-side_px // 8), 1).repeat(-(-side_px // 8), 2)
    image = coarse[:, :side_px, :side_px]
    return tuple(  # type: ignore[return-value]
        np.clip(image + generator.normal(0, noise, image.shape), 0, 255).astype(np.uint8) for _ in range(2)
    )


def tensors(a: np.ndarray, b: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(x).permute(0, 3, 1, 2).double() for x in (a, b)]


@pytest.mark.parametrize("noise", [5, 60])
@pytest.mark.parametrize("side_px", [176, 192])
def test_of_large_images_it_is_that_of_pytorch_msssim(side_px: int, noise: float) -> None:
    a, b = pairs(side_px, noise)
    expected = pytorch_msssim.ms_ssim(*tensors(a, b), data_range=255, size_average=False)
    np.testing.assert_allclose(ms_ssim(a, b), expected.numpy(), rtol=1e-4)


def test_of_one_scale_it_is_the_structural_similarity_of_pytorch_msssim() -> None:
    a, b = pairs(20, 60)
    expected = pytorch_msssim.ssim(*tensors(a, b), data_range=255, size_average=False, nonnegative_ssim=True)
    np.testing.assert_allclose(ms_ssim(a, b), expected.numpy(), rtol=1e-4)


def by_scipy(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Return the similarity of one pair, colour by colour, with SciPy's Gaussian filter."""

    def blurred(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]

    found = []
    for colour in range(3):
        x, y = a[..., colour].astype(float), b[..., colour].astype(float)
        product = 1.0
        for scale, weight in enumerate(weights):
            mean_x, mean_y = blurred(x), blurred(y)
            together = blurred(x * y) - mean_x * mean_y
            spread = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
            term = (2 * together + 7.65**2) / (spread + 7.65**2)
            if scale == len(weights) - 1:
                term = term * (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)
            product *= max(float(term.mean()), 0.0) ** weight
            rows, columns = (2 * (side // 2) for side in x.shape)
            x, y = (sum(z[i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1)) / 4 for z in (x, y))
        found.append(product)
    return float(np.mean(found))


@pytest.mark.parametrize("noise", [5, 60])
@pytest.mark.parametrize("side_px", [33, 64, 128])
def test_of_small_images_it_is_the_formula_with_fewer_scales(side_px: int, noise: float) -> None:
    a, b = pairs(side_px, noise)
    weights = np.array(WEIGHTS[: scales(side_px)])
    expected = [by_scipy(x, y, weights / weights.sum()) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-9)


@pytest.mark.parametrize("side_px", [64, 128])
def test_of_small_grey_images_it_is_near_that_of_torchmetrics(side_px: int) -> None:
    # Grey, because torchmetrics averages the colours before it multiplies the scales; near, because it also counts the
    # border of the last scale, where the window does not fit.
    a, b = (x[..., :1].repeat(3, axis=3) for x in pairs(side_px, 60))
    weights = np.array(WEIGHTS[: scales(side_px)])
    betas = tuple((weights / weights.sum()).tolist())
    expected = by_torchmetrics(*tensors(a, b), data_range=255.0, betas=betas, reduction="none", normalize="relu")
    np.testing.assert_allclose(ms_ssim(a, b), expected.numpy(), atol=5e-3)
