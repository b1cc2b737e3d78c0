"""The state of a run in one safetensors file that is replaced in one rename: it is whole, or it is the one before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn
from torch.optim import Optimizer

from dermsynth.core.artefacts import write_atomically
from dermsynth.core.errors import ArtefactError


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors and facts (strings, in the file's header) atomically."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, serialise(contiguous, dict(facts)))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the facts; raises ArtefactError for a file that is no safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"{path}: cannot be read ({' '.join(str(error).split())}); train again") from None


def network_state(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """Return the weights and buffers of a network under `prefix`."""
    return {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}


def load_network(prefix: str, network: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Copy tensors under `prefix` into a network; raises ArtefactError if names or shapes differ."""
    state = {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        problem = " ".join(str(error).split())
        raise ArtefactError(f"{where}: does not fit the network '{prefix}' ({problem[:200]})") from None


def optimiser_state(prefix: str, optimiser: Optimizer) -> dict[str, Tensor]:
    """Return the tensors an optimiser carries (moments, step counts) under `prefix`."""
    state = optimiser.state_dict()["state"]
    return {
        f"{prefix}.{index}.{name}": tensor
        for index, kept in state.items()
        for name, tensor in kept.items()
        if tensor is not None  # SGD without momentum
    }


def load_optimiser(prefix: str, optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors that `optimiser_state` returned back."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(f"{prefix}."):
            index, name = key.removeprefix(f"{prefix}.").split(".", 1)
            parameter = parameters[int(index)]
            if tensor.shape == parameter.shape:
                # Fused Adam walks through memory: moments must lie in it as their (channels-last) parameter does.
                tensor = torch.empty_like(parameter).copy_(tensor)
            state.setdefault(int(index), {})[name] = tensor
    whole["state"] = state
    optimiser.load_state_dict(whole)
