"""Small steppers and batches that landscapes are tried on."""

import torch
from einops import rearrange
from torch import Tensor, nn

from slime.nets import build_net
from slime.scale import Standardizer
from slime.stepper import Stepper
from slime.stream import Batch

T, C, Y, X = 2, 2, 4, 5
N_LEADS = 3


def scale() -> Standardizer:
    return Standardizer(
        torch.tensor([10.0, -3.0]), torch.tensor([4.0, 0.5]), torch.tensor([0.7, 0.2])
    )


def make_batches(sizes=(3, 3, 1), *, masked=False, seed=0) -> list[Batch]:
    """Windows 40, 41, ... of movie 0, then of movie 2 from the second batch on."""
    rng = torch.Generator().manual_seed(seed)
    mean, std = torch.tensor([10.0, -3.0]), torch.tensor([4.0, 0.5])
    batches = []
    for i, n in enumerate(sizes):
        past, future = (
            torch.randn(n, t, C, Y, X, generator=rng) * std[:, None, None] + mean[:, None, None]
            for t in (T, N_LEADS)
        )
        mask = torch.rand(future.shape, generator=rng) < 0.6 if masked else None
        movie = torch.full((n,), 2 if i else 0)
        batches.append(Batch(past, future, mask, movie, 40 + i * 10 + torch.arange(n)))
    return batches


def make_stepper(kind="cnn", *, head="residual", seed=0) -> Stepper:
    torch.manual_seed(seed)
    net = build_net(kind, n_in=T, channels=C, size=(Y, X), width=6, depth=3, kernel=3)
    return Stepper(scale(), net, head=head, n_in=T)


class PixelNet(nn.Module):
    """Linear in its weights: each pixel's next value from its own past."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(T * C, C, 1)

    def forward(self, past: Tensor) -> Tensor:
        return self.mix(rearrange(past, "b t c y x -> b (t c) y x"))


def pixel_stepper(head="residual", *, dtype=torch.float64) -> Stepper:
    torch.manual_seed(1)
    return Stepper(scale(), PixelNet(), head=head, n_in=T).to(dtype)
