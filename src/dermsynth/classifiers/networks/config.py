"""Which network a classifier is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dermsynth.classifiers import find
from dermsynth.core.config import Config
from dermsynth.core.errors import ConfigError


class NetworkConfig(Config):
    """The network of a classifier; a setting that a network does not have is an error."""

    model: str = "small-cnn"
    """Name in `dermsynth.classifiers.MODELS`, with what follows its colon, as in `hf:FOLDER`."""
    width: int | None = Field(None, ge=1)
    """Channels of the first layer; the others follow from it. Its own where nothing is given: 16 for `small-cnn`, 64
    for ResNets and `discriminator`, 32 for MobileNet. 24 gained `small-cnn` 2 points of balanced accuracy at 64 px and
    took 1.7 times as long."""
    stem: Literal["auto", "small", "imagenet"] = "auto"
    """What a ResNet or MobileNet begins with. `imagenet` is the papers', made for 224 px: it makes maps of a quarter
    (MobileNet: half) of the image's side. `small` leaves the side as it is, at nine (MobileNet: three) times the cost.
    `auto` takes `small` below 64 px, where the other would leave a single place of the image."""
    input_px: int | None = Field(None, ge=8)
    """Side to which `hf:` networks resize images; their own where nothing is given. Half is a quarter of the cost."""
    fresh: bool = False
    """Draws the weights of `hf:` and `discriminator:` anew: the same network from scratch, as a control."""

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        try:
            find(model)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return model

    @model_validator(mode="after")
    def _has_the_settings(self) -> NetworkConfig:
        family = find(self.model).backbone
        takes = family.takes
        if self.width is not None and self.width < family.least_width:
            raise ValueError(f"width is {self.width}; '{self.model}' takes {family.least_width} or more")
        for name in sorted({"width", "stem", "input_px", "fresh"} - takes):
            if getattr(self, name) != type(self).model_fields[name].default:
                having = ", ".join(sorted(takes)) or "none"
                raise ValueError(f"{name}: '{self.model}' has no such setting (it has: {having}); leave it out")
        return self
