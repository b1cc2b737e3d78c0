"""Where and how networks run: Fabric with the precision and memory layout that suit the machine."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
from typing import TYPE_CHECKING, Literal

from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

Precision = Literal["auto", "bf16", "tf32", "fp32"]


def set_threads(threads: int) -> None:
    """Let torch use this many CPU threads, and keep large freed blocks for the next step.

    glibc maps and unmaps large tensors at every step unless told otherwise, which can take half of a step's time.
    """
    import torch

    torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
            mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def make_fabric(precision: Precision = "auto") -> Fabric:
    """Return Fabric on the best device of this machine: an NVIDIA or Apple GPU, else the processor.

    Under `torchrun` every process gets a Fabric of its own that knows the others.

    Args:
        precision: `bf16` runs convolutions and matrix products in bfloat16 and keeps weights in float32; `tf32` runs
            them in TensorFloat-32, which NVIDIA GPUs have; `fp32` runs everything in float32; `auto` takes bf16 where
            the processor or the GPU has it in hardware.

    Raises:
        ConfigError: `tf32` without an NVIDIA GPU.
    """
    # The umbrella package `lightning` may be absent; lightning-fabric is what we depend on.
    import torch
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision on every start
    chosen = ("bf16" if has_fast_bf16() else "fp32") if precision == "auto" else precision
    if chosen == "tf32" and not torch.cuda.is_available():
        raise ConfigError("precision tf32 needs an NVIDIA GPU, and none was found; choose auto, bf16 or fp32")
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high" if chosen == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = chosen == "tf32"
    numeric: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if chosen == "bf16" else "32-true"
    together = int(os.environ.get("WORLD_SIZE", "1"))
    if together == 1:
        return Fabric(accelerator="auto", devices=1, precision=numeric)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", together))
    fabric = Fabric(
        accelerator="auto", strategy="ddp", devices=here, num_nodes=max(1, together // here), precision=numeric
    )
    fabric.launch()
    return fabric


def has_fast_bf16() -> bool:
    """Return whether bfloat16 is faster than float32 here: a GPU with it, or a CPU with AVX-512 BF16 or AMX."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())  # the same check that torch's own compiler makes


def describe(fabric: Fabric) -> dict[str, str | int]:
    """Return what a card records of device, precision and threads: equal values promise equal bits."""
    import torch

    tf32 = fabric.device.type == "cuda" and torch.get_float32_matmul_precision() == "high"
    return {
        "device": torch.cuda.get_device_name() if fabric.device.type == "cuda" else fabric.device.type,
        "precision": "tf32" if tf32 else str(fabric._precision.precision),
        "threads": torch.get_num_threads(),
        **({"processes": fabric.world_size} if fabric.world_size > 1 else {}),
    }


def place(network: torch.nn.Module, fabric: Fabric) -> None:
    """Move a network to Fabric's device, its weights channels last, the layout in which convolutions are quicker."""
    import torch

    # The union of layouts that `Module.to` accepts is not in its stubs.
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def to_network(images: torch.Tensor, fabric: Fabric) -> torch.Tensor:
    """Return uint8 N x H x W x 3 in 0..255 as float32 N x 3 x H x W in [-1, 1], channels last, on Fabric's device."""
    # Converting before permuting runs along memory: twice as fast as the other way round, with the same values.
    scaled = images.to(fabric.device, non_blocking=True).float().div_(127.5).sub_(1.0)
    return scaled.permute(0, 3, 1, 2)


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Return float N x 3 x H x W in [-1, 1] as uint8 N x H x W x 3 in 0..255 (rounded, clamped)."""
    import torch

    scaled = images.float().mul(127.5).add_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
