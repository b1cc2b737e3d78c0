"""Maps of what in an image moves a classifier's score of a class.

A map says what this network reacts to, not why, and not whether that is right; `docs/predict.md` says what maps cannot
show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dermsynth.classifiers.networks.network import Network

Method = Literal["grad-cam", "integrated-gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
_STEPS = 32
"""Of the path of integrated gradients."""
_WINDOW_SHARE = 8
"""The side of an image over that of what is covered; the window moves by half of itself."""


def maps(network: Network, images: NDArray[np.uint8], labels: NDArray[np.int64], method: Method) -> NDArray[np.float32]:
    """Return a map per image, float32 N x S x S: above 0 where the image speaks for the class, below where against.

    Score means what the softmax is taken of. All is computed in float32, by torch's captum.

    - `grad-cam` (Selvaraju et al. 2017, arXiv:1610.02391): the last feature maps, weighted by their mean gradients;
      never below 0, and as coarse as the maps.
    - `integrated-gradients` (Sundararajan et al. 2017, arXiv:1703.01365): gradients along the straight path from the
      image's mean colour, in 32 steps, times the difference, summed over colours. A map sums to the difference in score
      between the image and its mean colour, up to the error of the steps. (A black start would call dark places
      unimportant, and lesions are dark.)
    - `occlusion` (Zeiler & Fergus 2014, arXiv:1311.2901): how much the score falls where a square of an eighth of the
      side, moved in halves of it, is covered with the image's mean colour; the mean over the squares on a pixel.

    Args:
        network: On any device; its mode is left as it was.
        images: uint8 N x S x S x 3, N >= 1.
        labels: int64 (N,), the class that each map is about.
        method: How.

    Raises:
        ConfigError: an unknown method, or captum is not installed.
        InputError: a network without what the method needs: a gradient, or feature maps.
    """
    import torch

    if method not in METHODS:
        raise ConfigError(f"method '{method}': {nearest(method, METHODS)}")
    attribution = _captum()
    device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
    training = network.training
    network.eval()
    try:
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            seen = (torch.from_numpy(images).to(device).float() / 127.5 - 1).permute(0, 3, 1, 2)
            found = _WAYS[method](attribution, network, seen, torch.from_numpy(labels).to(device))
    finally:
        network.train(training)
    return np.asarray(found.detach().float().cpu().numpy(), dtype=np.float32)


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError:
        raise ConfigError("maps need captum; install it with: pip install 'dermsynth[explain]'") from None
    return captum.attr


def _scores(network: Network) -> Callable[[Tensor], Tensor]:
    """Return the scores as a function with a gradient, also of a network whose backbone does not learn."""
    return lambda images: network.head(network.backbone(images).float())


def _grad_cam(attribution: Any, network: Network, images: Tensor, labels: Tensor) -> Tensor:
    from torch.nn import functional as F

    _need_gradient(network, images[:1])
    found = attribution.LayerGradCam(_scores(network), _last_maps(network, images[:1]))
    small = found.attribute(images.requires_grad_(), target=labels, relu_attributions=True)
    grown: Tensor = F.interpolate(small, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return grown


def _integrated_gradients(attribution: Any, network: Network, images: Tensor, labels: Tensor) -> Tensor:
    _need_gradient(network, images[:1])
    found: Tensor = attribution.IntegratedGradients(_scores(network)).attribute(
        images,
        _mean_colour(images).expand_as(images),
        target=labels,
        n_steps=_STEPS,
        internal_batch_size=max(network.at_once(images.shape[2]), len(images)),
    )
    return found.sum(dim=1)


def _occlusion(attribution: Any, network: Network, images: Tensor, labels: Tensor) -> Tensor:
    import torch

    side = max(1, images.shape[2] // _WINDOW_SHARE)
    at_once = max(1, network.at_once(images.shape[2]) // len(images))
    with torch.no_grad():
        found: Tensor = attribution.Occlusion(network).attribute(
            images,
            (3, side, side),
            strides=(3, max(1, side // 2), max(1, side // 2)),
            baselines=_mean_colour(images).expand_as(images),
            target=labels,
            perturbations_per_eval=at_once,
        )
    return found.mean(dim=1)


_WAYS: dict[str, Callable[[Any, Network, Tensor, Tensor], Tensor]] = {
    "grad-cam": _grad_cam,
    "integrated-gradients": _integrated_gradients,
    "occlusion": _occlusion,
}


def _mean_colour(images: Tensor) -> Tensor:
    return images.mean(dim=(2, 3), keepdim=True)


def _need_gradient(network: Network, image: Tensor) -> None:
    import torch

    probe = image.clone().requires_grad_()
    scores = _scores(network)(probe)
    slope = torch.autograd.grad(scores.sum(), probe, allow_unused=True)[0] if scores.requires_grad else None
    if slope is None:
        raise InputError(
            "this classifier's scores have no gradient with regard to the image (handmade features, or the votes of "
            "neighbours); take --method occlusion"
        )


def _last_maps(network: Network, image: Tensor) -> nn.Module:
    """Return the last part of the backbone that makes maps of more than one place."""
    import torch

    found: list[nn.Module] = []

    def keep(module: nn.Module, _: Any, made: Any) -> None:
        if isinstance(made, torch.Tensor) and made.ndim == 4 and made.shape[2] * made.shape[3] > 1:
            found.append(module)

    hooks = [block.register_forward_hook(keep) for block in network.backbone.blocks()]
    try:
        with torch.no_grad():
            network.backbone(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise InputError(
            "this classifier's network has no feature maps for Grad-CAM (a transformer has tokens instead); "
            "take --method integrated-gradients or occlusion"
        )
    return found[-1]
