"""Networks of `transformers`: from scratch, or with the weights of any vision model in its layout."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from dermsynth.classifiers.networks.network import Backbone
from dermsynth.core.errors import InputError
from dermsynth.encoders.folder import Preparation, quiet_transformers

_NO_PART_OF_THE_NETWORK = ("_name_or_path", "architectures", "dtype", "id2label", "label2id", "transformers_version")
_MOMENTUM = 0.1


class Vision(Backbone):
    """A vision network of `transformers` without its classifier.

    Feature maps or tokens are averaged over places where the network has no pooling of its own. Batch norms move by a
    tenth towards every batch: MobileNets come with 0.997 and more, which is how TensorFlow writes 0.003, and two steps
    of which would ruin their statistics.

    Args:
        config: The configuration that `transformers` makes the network from.
        stem: `small` for a first convolution with a small kernel and no stride, and no pooling after it; `imagenet`
            for the network's own.
        preparation: How images are resized and normalised; None hands them on in [-1, 1], as they are.
        pools: Whether the network's own pooling layer is used where it has one with weights.

    Raises:
        InputError: images of the prepared size do not fit the network.
    """

    kind = "vision"

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        stem: str = "imagenet",
        preparation: Mapping[str, Any] | None = None,
        pools: bool = True,
    ) -> None:
        super().__init__()
        self._config, self._stem, self._pools = dict(config), stem, pools
        self.preparation = None if preparation is None else Preparation.model_validate(preparation)
        with quiet_transformers():
            self.network = _made(self._config)
        if stem == "small":
            _shrink_stem(self.network)
        self.least_px = 1 if self.preparation else _least_px(self.network)
        sides = self.preparation.side_px if self.preparation else (self.least_px, self.least_px)
        self._arguments = self._position_arguments(sides)
        if not pools and _has_parameters(getattr(self.network, "pooler", None) or nn.Identity()):
            self.network.pooler = None
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.momentum is not None and module.momentum > 0.5:
                module.momentum = _MOMENTUM
        self.dimensions = self._count_features(sides)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the configuration of `transformers` and what was chosen beside it."""
        prepared = None if self.preparation is None else self.preparation.canonical()
        return {"config": self._config, "stem": self._stem, "preparation": prepared, "pools": self._pools}

    def blocks(self) -> list[nn.Module]:
        """Return the stem, then stages or layers, then what norms follow."""
        return _unfolded(self.network)

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled features."""
        if self.preparation is not None:
            images = self.preparation.of(images * 127.5 + 127.5)
        found = self.network(pixel_values=images, **self._arguments)
        pooler = getattr(self.network, "pooler", None)
        pooled = getattr(found, "pooler_output", None)
        if pooled is not None and not isinstance(pooler, nn.AdaptiveAvgPool2d):
            features: Tensor = pooled.flatten(1).float()
            return features
        # In float32, where the network would average in the precision of its maps.
        last: Tensor = found.last_hidden_state.float()
        return last.mean(dim=1 if last.ndim == 3 else (2, 3))

    def seen_px(self, size_px: int) -> int:
        """Return the side to which images are resized."""
        return max(self.preparation.side_px) if self.preparation else size_px

    def _position_arguments(self, sides: tuple[int, int]) -> dict[str, bool]:
        """Return what tells a transformer to stretch its positions over images of another size than its own."""
        own = getattr(self.network.config, "image_size", None)
        fits = own in (None, sides[0], list(sides), tuple(sides))
        known = inspect.signature(self.network.forward).parameters
        return {} if fits or "interpolate_pos_encoding" not in known else {"interpolate_pos_encoding": True}

    def _count_features(self, sides: tuple[int, int]) -> int:
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return int(self(torch.zeros(1, 3, *sides)).shape[1])
        except (AttributeError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"images of {sides[0]} x {sides[1]} px do not fit this network ({reason})") from None
        finally:
            self.train(training)


def plain(config: Any) -> dict[str, Any]:
    """Return a configuration of `transformers` as JSON values, without names of classes, paths and versions."""
    return {name: value for name, value in config.to_dict().items() if name not in _NO_PART_OF_THE_NETWORK}


def _made(config: Mapping[str, Any]) -> Any:
    values = dict(config)
    chosen = AutoConfig.for_model(values.pop("model_type"), **values)
    return AutoModel.from_config(chosen)


def _shrink_stem(network: Any) -> None:
    """Give ResNet and MobileNet v1 a first convolution of 3 x 3 and stride 1, and no pooling after it."""
    if hasattr(network, "embedder"):
        layer = network.embedder.embedder
        network.embedder.pooler = nn.Identity()
    else:
        layer = network.conv_stem
    old = layer.convolution
    layer.convolution = nn.Conv2d(3, old.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.convolution.weight, mode="fan_out", nonlinearity="relu")


def _least_px(network: nn.Module) -> int:
    """Return the side of an image of which one place is left at the end: the product of all strides on the way."""
    side = 1
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d) and module.kernel_size not in (1, (1, 1)):
            side *= module.stride if isinstance(module.stride, int) else module.stride[0]
    return side


def _unfolded(network: nn.Module) -> list[nn.Module]:
    """Return the modules that lists of layers consist of, and what stands beside the lists, in the order of their use.

    `transformers` registers modules in the order in which images pass them.
    """
    if _has_parameters(network, deep=False):
        return [network]
    found: list[nn.Module] = []
    for child in network.children():
        if any(isinstance(inner, nn.ModuleList) for inner in child.children()):
            found += _unfolded(child)
        else:
            found += child if isinstance(child, nn.ModuleList) else [child]
    return [module for module in found if _has_parameters(module)]


def _has_parameters(module: nn.Module, *, deep: bool = True) -> bool:
    return any(True for _ in module.parameters(recurse=deep))
