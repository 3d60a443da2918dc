"""How a net is trained: settings, the course of the learning rate, and which weights decay."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from slime.errors import SlimeError
from slime.settings import setting


@dataclass(frozen=True)
class OptimSpec:
    """How a net is trained: AdamW, linear warm-up, cosine to zero."""

    lr: float = setting(3e-3, "learning rate at its highest")
    epochs: int = setting(30, "passes over the train windows, at most")
    batch_size: int = setting(32, "windows in a batch, of all processes together")
    accumulate: int = setting(
        1, "batches a step: computed one after the other, learned from as one"
    )
    weight_decay: float = setting(1e-4, "AdamW's weight decay, of weights alone")
    warmup: float = setting(0.05, "share of the steps in which the rate rises")
    clip: float = setting(1.0, "norm at which gradients are clipped; 0 does not clip")
    patience: int = setting(10, "epochs without a better validation loss before stopping")
    augment: bool = setting(
        True, "turn and mirror windows at random (the 8 symmetries of a square)"
    )
    noise: float = setting(
        0.0, "noise put on the frames given in training, in root mean square changes"
    )
    pushforward: bool = setting(
        False, "where window.n_out is above 1: learn each lead without gradients of earlier ones"
    )
    unroll_after: float = setting(
        0.0,
        "where window.n_out is above 1: share of the steps that learn from the first lead alone",
    )
    ema: float = setting(0.0, "decay of the mean of weights that is scored and kept, such as .999")
    autocast: bool = setting(True, "what optim.precision=auto does on cuda: bfloat16, else float32")
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "of products in training; weights stay float32"
    )
    memory_format: Literal["contiguous", "channels_last"] = setting(
        "contiguous", "order of the features in memory while training"
    )
    compile: bool = setting(
        False, "compile the net for training (a minute at first; needs a C++ compiler)"
    )

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise SlimeError(f"optim.{name}={getattr(self, name)} must be at least {least}")
        if not self.lr > 0 or not math.isfinite(self.lr):
            raise SlimeError(f"optim.lr={self.lr} must be above 0")
        for name in ("weight_decay", "clip", "noise"):
            if not getattr(self, name) >= 0:
                raise SlimeError(f"optim.{name}={getattr(self, name)} must be 0 or more")
        for name in ("warmup", "unroll_after", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise SlimeError(
                    f"optim.{name}={getattr(self, name)} must be at least 0 and below 1"
                )


def learning_rate(step: int, n_steps: int, optim: OptimSpec) -> float:
    """The rate at a step: a linear rise, then half a cosine down to 0."""
    warm = max(1, round(optim.warmup * n_steps))
    if step < warm:
        return optim.lr * (step + 1) / warm
    return optim.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, n_steps - warm)))


def leads_learned(step: int, n_steps: int, n_out: int, optim: OptimSpec) -> int:
    """How many leads a step learns from: the first alone, later all `n_out` of a window."""
    return 1 if step < optim.unroll_after * n_steps else n_out


def weight_groups(stepper: nn.Module, optim: OptimSpec) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases and other vectors."""
    weights = [p for p in stepper.parameters() if p.requires_grad]
    return [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": optim.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
