"""What a landscape says of itself: which model, windows and directions it is about."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from slime.landscape.directions import inner_product
from slime.landscape.loss import HeldWindows
from slime.stepper import Stepper, weights_hash


def facts_of(stepper: Stepper, windows: HeldWindows) -> dict[str, Any]:
    """Which model, windows and lead a result is about."""
    named = {
        "long_name": f"mean squared error at lead {windows.lead}",
        "units": "movie units squared",
    }
    if windows.threshold is not None:
        told = f"frames until the correlation falls below {windows.threshold:g}, median"
        named = {"long_name": f"{told}, at most {windows.lead}", "units": "frames"}
    return {
        **named,
        "loss": windows.loss,
        "precision": windows.precision,
        "lead": windows.lead,
        "n_windows": len(windows.start),
        "n_pixels": windows.n_pixels,
        "window_movie": windows.movie,
        "window_start": windows.start,
        "model_sha256": weights_hash(stepper.state_dict()),
        "n_parameters": sum(w.numel() for w in stepper.net.parameters()),
    }


def geometry(steps: Mapping[str, Sequence[Tensor]]) -> dict[str, Any]:
    """Length of each direction, and the cosine where there are two."""
    norms = {name: math.sqrt(inner_product(d, d)) for name, d in steps.items()}
    lengths: dict[str, Any] = {f"{name}_norm": norm for name, norm in norms.items()}
    if len(steps) == 2:
        lengths["cosine"] = inner_product(*steps.values()) / math.prod(norms.values())
    return lengths


def identity(
    attrs: Mapping[str, Any],
    values: Mapping[str, Float[np.ndarray, " _"]],
    steps: Mapping[str, Sequence[Tensor]],
) -> dict[str, Any]:
    """What makes two grids the same."""
    names = ("model_sha256", "lead", "loss", "precision")
    names += ("window_movie", "window_start", "n_pixels")
    told = {name: attrs[name] for name in names}
    for name in values:
        told[f"{name} axis"] = values[name].tolist()
        told[f"{name} direction"] = weights_hash({str(i): t for i, t in enumerate(steps[name])})
    return told
