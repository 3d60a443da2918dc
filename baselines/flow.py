"""Optical-flow advection: each pixel is carried on by the motion between the two newest frames.

Lucas & Kanade 1981 (IJCAI 81:674): in a small neighbourhood one displacement explains the change;
the newest frame is then drawn from where each pixel came (Germann & Zawadzki 2002,
doi 10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2).
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from slime.errors import SlimeError

SIGMA_PX = 3.0  # of the neighbourhood
REACH = 6  # of its Gaussian, in pixels
ROUNDS = 3  # of estimating what motion is left after warping
STIFFNESS = 1e-2  # share of the mean squared slope by which weak slopes are held still


class FlowAdvection:
    """Carries the newest frame on, each channel by its own motion; nothing is fitted.

    Right where things move, as cells in a stream; a wave that grows or fades is not motion.
    """

    n_in = 2

    def __call__(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """The newest frame moved by the displacement between it and the one before."""
        if past.shape[1] < self.n_in:
            raise SlimeError(f"flow needs the 2 newest frames, but {past.shape[1]} were given")
        n = len(past)
        before, newest = (rearrange(past[:, i], "b c y x -> (b c) y x") for i in (-2, -1))
        moved = warped(newest, displacement(before, newest))
        return rearrange(moved, "(b c) y x -> b c y x", b=n)

    def for_movie(self, movie: int) -> "FlowAdvection":
        """Itself: the same for every movie."""
        return self


def displacement(
    before: Float[Tensor, "n y x"], after: Float[Tensor, "n y x"]
) -> Float[Tensor, "n 2 y x"]:
    """Pixels (y, x) by which what is at a pixel of `after` has moved since `before`.

    Near 0 where nothing is to be seen.
    """
    slope_y, slope_x = torch.gradient(after, dim=(1, 2))
    yy, xx, yx = (_blurred(p) for p in (slope_y * slope_y, slope_x * slope_x, slope_y * slope_x))
    still = STIFFNESS * (yy + xx).mean(dim=(1, 2), keepdim=True) + torch.finfo(after.dtype).tiny
    yy, xx = yy + still, xx + still
    moved = torch.zeros(len(after), 2, *after.shape[1:], dtype=after.dtype, device=after.device)
    for _ in range(ROUNDS):
        # before, carried along, should be after: what differs asks for more (or less) motion
        left = warped(before, moved) - after
        y, x = _blurred(left * slope_y), _blurred(left * slope_x)
        det = yy * xx - yx * yx
        moved = moved + torch.stack([(xx * y - yx * x) / det, (yy * x - yx * y) / det], dim=1)
    return moved


def warped(
    frames: Float[Tensor, "n y x"], moved: Float[Tensor, "n 2 y x"]
) -> Float[Tensor, "n y x"]:
    """The frames carried along: each pixel is drawn, bilinearly, from where it came."""
    height, width = frames.shape[1:]
    rows = torch.arange(height, dtype=frames.dtype, device=frames.device)[:, None] - moved[:, 0]
    columns = torch.arange(width, dtype=frames.dtype, device=frames.device) - moved[:, 1]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    drawn = F.grid_sample(
        frames[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return drawn[:, 0]


def _blurred(field: Float[Tensor, "n y x"]) -> Float[Tensor, "n y x"]:
    """A Gaussian mean with the rim repeated: shifted sums, which a CPU does faster than a layer."""
    steps = range(-REACH, REACH + 1)
    weights = [math.exp(-0.5 * (step / SIGMA_PX) ** 2) for step in steps]
    padded = F.pad(field[:, None], (REACH,) * 4, mode="replicate")[:, 0]
    for axis in (1, 2):
        n = padded.shape[axis] - 2 * REACH
        total = torch.zeros_like(padded.narrow(axis, 0, n))
        for i, weight in enumerate(weights):
            total.add_(padded.narrow(axis, i, n), alpha=weight / sum(weights))
        padded = total
    return padded
