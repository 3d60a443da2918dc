"""Devices by their names."""

import torch

from slime.errors import SlimeError


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" takes cuda, then mps, then the CPU.

    Raises:
        SlimeError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except Exception as error:
        here = ["cpu"] + ["cuda"] * torch.cuda.is_available()
        raise SlimeError(f"device={name}: there is none here, but {', '.join(here)}") from error
    return device
