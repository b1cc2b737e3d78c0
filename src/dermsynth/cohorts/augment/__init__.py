"""Classical augmentation: training images altered anew each time they are seen, within what a lesion can look like.

Every image takes the same draws whatever the settings are, so two settings that differ in one range alter images alike
in all others. `docs/augmentation.md` shows every operation and says where its range comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from dermsynth.cohorts.augment import colour, erasing, geometry
from dermsynth.core.config import Config, nearest, parse

if TYPE_CHECKING:
    import torch

POLICIES: dict[str, dict[str, Any]] = {
    "none": {},
    # Paper 003 (Mutepe et al. 2021) names these and states no range.
    "papers": {"flip": True, "rotation_deg": 30.0, "shear_deg": 10.0},
    # The best of the 13 sets that Perez et al. 2018 (arXiv:1809.01442) compared on ISIC 2017, with a whole circle of
    # rotation and a third of their colours: wider ones did worse on held-out images (docs/augmentation.md).
    "strong": {
        "flip": True,
        "rotation_deg": 180.0,
        "shear_deg": 20.0,
        "scale_max": 1.25,
        "translation_share": 0.1,
        "crop_side_min": 0.8,
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue_deg": 2.0,
    },
}
"""What each policy turns on; what it does not name is off."""

RANGED = ("rotation", "shear", "scale", "shift_x", "shift_y", "brightness", "contrast", "saturation", "hue")
"""Operations with a range: their draws are strengths from -1 to 1, and RandAugment chooses among them."""
_FREE = ("mirror_x", "mirror_y", "quarter", "side", "centre_x", "centre_y", "hit", "area", "aspect", "top", "left")

Draws = dict[str, "torch.Tensor"]
"""One value per image by name: `RANGED` in [-1, 1], the others in [0, 1)."""


class ClassicalAugmentation(Config):
    """How far images are altered: a policy, and values that stand over the policy's.

    A value that neither the policy nor you name is off. Each image draws its own values, uniformly unless said
    otherwise. A policy's name alone stands for `{policy: name}`.
    """

    policy: str = "strong"
    """Where the values start from: a name in `POLICIES`."""
    flip: bool = False
    """Mirror left-right and up-down, each for half of the images: dermoscopy has no upright."""
    quarter_turns: bool = False
    """Turn by 0, 90, 180 or 270 degrees before the rotation below."""
    rotation_deg: float = Field(0.0, ge=0.0, le=180.0)
    """Largest turn to either side."""
    shear_deg: float = Field(0.0, ge=0.0, le=45.0)
    """Largest slant of the vertical to either side."""
    scale_max: float = Field(1.0, ge=1.0, le=2.0)
    """Largest magnification; the smallest is its inverse. Log-uniform."""
    translation_share: float = Field(0.0, ge=0.0, le=0.5)
    """Largest shift in x and in y, as a share of the side."""
    crop_side_min: float = Field(1.0, gt=0.0, le=1.0)
    """Side of the smallest crop as a share of the image's; the crop lies anywhere in the image, at the old size."""
    brightness: float = Field(0.0, ge=0.0, le=0.5)
    """Largest relative change of all values: the exposure."""
    contrast: float = Field(0.0, ge=0.0, le=0.5)
    """Largest relative change of the distances from the image's mean luma."""
    saturation: float = Field(0.0, ge=0.0, le=0.5)
    """Largest relative change of the colours' distances from grey, at the same luma."""
    hue_deg: float = Field(0.0, ge=0.0, le=30.0)
    """Largest turn of the hues at the same luma. Red and light brown are some 20 degrees apart: colour is a sign."""
    erasing_chance: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the images in which a rectangle takes the image's mean colour."""
    erasing_area_max: float = Field(0.2, ge=erasing.AREA_MIN, le=0.5)
    """Largest such rectangle, as a share of the image."""
    randaugment_ops: int = Field(0, ge=0, le=len(RANGED))
    """RandAugment's N: that many of the operations with a range act on an image, in full. 0: all act, in part."""
    randaugment_magnitude: float = Field(10.0, ge=0.0, le=10.0)
    """RandAugment's M: tenths of its range that a chosen operation goes, to either side."""
    mixup_alpha: float = Field(0.0, ge=0.0, le=10.0)
    """Mixup's Beta(alpha, alpha), from which an image's share in its blend with another is drawn. 0: no mixup."""
    cutmix_alpha: float = Field(0.0, ge=0.0, le=10.0)
    """Likewise the share that is left of an image when a box of another is pasted in. With mixup: half of the images
    each."""

    @model_validator(mode="before")
    @classmethod
    def _over_the_policy(cls, given: Any) -> Any:
        values = {"policy": given} if isinstance(given, str) else given
        if not isinstance(values, dict):
            return given
        policy = values.get("policy", cls.model_fields["policy"].default)
        return {**POLICIES.get(policy, {}), **values} if isinstance(policy, str) else values

    @field_validator("policy")
    @classmethod
    def _known_policy(cls, policy: str) -> str:
        if policy not in POLICIES:
            raise ValueError(f"unknown policy; {nearest(policy, POLICIES)}")
        return policy

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values; another policy brings its own ones."""
        return parse(type(self), values, type(self).__name__) if "policy" in values else super().changed(**values)

    @property
    def mixes(self) -> bool:
        """Return whether images are mixed with each other, so that labels become shares."""
        return bool(self.mixup_alpha or self.cutmix_alpha)


def augment(images: torch.Tensor, config: ClassicalAugmentation, generator: torch.Generator) -> torch.Tensor:
    """Return images altered one by one; `mixing.mix` mixes them afterwards.

    Args:
        images: N x 3 x H x W, float32 in [-1, 1], any memory format and device, H = W.
        config: The ranges.
        generator: Source of the values. The first images of a batch are altered alike in a longer batch.

    Returns:
        Images like the input, in [-1, 1].
    """
    return altered(images, config, draw(len(images), config, generator, images.device))


def draw(
    count: int, config: ClassicalAugmentation, generator: torch.Generator, device: str | torch.device = "cpu"
) -> Draws:
    """Return the values of `count` images. RandAugment sets the strengths of what it does not choose to 0."""
    import torch

    ranged = len(RANGED)
    values = torch.rand(count, 2 * ranged + len(_FREE), generator=generator, device=generator.device).to(device)
    strengths, ranks, free = 2 * values[:, :ranged] - 1, values[:, ranged : 2 * ranged], values[:, 2 * ranged :]
    if config.randaugment_ops:
        chosen = ranks.argsort(dim=1).argsort(dim=1) < config.randaugment_ops
        strengths = torch.where(strengths < 0, -1, 1) * chosen * (config.randaugment_magnitude / 10)
    return dict(zip((*RANGED, *_FREE), (*strengths.unbind(1), *free.unbind(1)), strict=True))


def altered(images: torch.Tensor, config: ClassicalAugmentation, draws: Draws) -> torch.Tensor:
    """Return images moved, recoloured and erased by these values, on their device (see `augment`)."""
    import torch

    # All three are faster channel by channel; the networks want channels last.
    planes = images.contiguous()
    if geometry.moves(config):
        planes = geometry.move(planes, config, draws)
    if colour.recolours(config):
        planes = colour.recolour(planes, config, draws)
    if config.erasing_chance:
        planes = erasing.erase(planes, config, draws)
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return planes.contiguous(memory_format=torch.channels_last) if channels_last else planes
