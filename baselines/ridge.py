"""The best linear stencil: each pixel's change as a weighted sum of its neighbourhood's past."""

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from slime.errors import SlimeError
from slime.frames import GIB
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

N_WINDOWS = 512
CROP = 32  # pixels a side: larger frames give random cuts, so that their size costs nothing
PENALTIES = tuple(10.0**i for i in range(-8, 3))
PENALTY = 1e-5  # where there is no validation split to choose by


class NormalEquations(NamedTuple):
    """Sums over pixels of products of features (the last is 1) and targets, in float64.

    They stand apart by target channel, since a mask may be.
    """

    n: Float[np.ndarray, " c"]
    xx: Float[np.ndarray, "c f f"]
    xy: Float[np.ndarray, "c f"]
    yy: Float[np.ndarray, " c"]

    def joined(self, other: "NormalEquations") -> "NormalEquations":
        """The sums over both sets of pixels."""
        return NormalEquations(*(a + b for a, b in zip(self, other, strict=True)))

    def solved(self, penalty: float) -> Float[np.ndarray, "c f"]:
        """Weights of least mean squared error + penalty * |weights|^2, the intercept's free."""
        free = np.append(np.ones(self.xx.shape[-1] - 1), 0.0)
        xx = self.xx / self.n[:, None, None] + penalty * np.diag(free)
        return np.linalg.solve(xx, (self.xy / self.n[:, None])[..., None])[..., 0]

    def mse(self, weights: Float[np.ndarray, "c f"]) -> float:
        """Mean squared error of the weights on these pixels, averaged over channels."""
        fitted = np.einsum("ci,cij,cj->c", weights, self.xx, weights)
        square = fitted - 2 * (weights * self.xy).sum(axis=1) + self.yy
        return float((square / self.n).mean())


class Ridge(Stepper):
    """A fitted stencil as a step: a stepper whose net is one convolution with replicate edges.

    Attributes:
        penalty: the ridge penalty, on standardised frames.
        val_mse: for each penalty tried its one-step validation error, in units of `delta_std`
            squared, averaged over channels; empty where there was none to try.
    """

    def __init__(
        self,
        scale: Standardizer,
        weights: Float[np.ndarray, "c f"],
        *,
        n_in: int,
        k: int,
        penalty: float,
        val_mse: dict[float, float],
    ):
        n_channels = len(weights)
        stencil = nn.Conv2d(
            n_in * n_channels, n_channels, k, padding="same", padding_mode="replicate"
        )
        kernel = rearrange(weights[:, :-1], "c (i ky kx) -> c i ky kx", ky=k, kx=k)
        with torch.no_grad():
            stencil.weight.copy_(torch.from_numpy(kernel.copy()))
            stencil.bias.copy_(torch.from_numpy(weights[:, -1].copy()))  # pyright: ignore
        net = nn.Sequential(nn.Flatten(1, 2), stencil)
        super().__init__(scale, net, head="residual", n_in=n_in)
        self.penalty, self.val_mse = penalty, val_mse
        self.requires_grad_(False)

    @classmethod
    def fit(
        cls,
        movies: Sequence[xr.DataArray],
        splits: Sequence[Split],
        spec: WindowSpec,
        scale: Standardizer,
        *,
        val: tuple[Sequence[xr.DataArray], Sequence[Split]] | None = None,
        k: int = 5,
        n_windows: int = N_WINDOWS,
        penalties: Sequence[float] = PENALTIES,
        memory_budget: int = 2 * GIB,
        seed: int = 0,
    ) -> "Ridge":
        """Fit on the train splits' windows by normal equations, on the CPU.

        The changes of all channels are explained by `k` x `k` pixels of all channels in `n_in`
        frames. Target pixels that are masked are left out. At most `n_windows` windows, evenly
        spaced in time and cut at random (`seed`) to 32 x 32 pixels, are used: seconds, however
        large the movie.

        Args:
            val: movies and splits on which the penalty of least one-step error is chosen.

        Raises:
            SlimeError: an even k, a penalty not above 0, fewer pixels that count than weights, or
                pixels that are not finite.
        """
        if k < 1 or k % 2 == 0:
            raise SlimeError(f"ridge: a stencil of k={k} pixels has no centre: k must be odd")
        if not all(p > 0 for p in penalties) or not penalties:
            raise SlimeError(f"ridge: penalties {tuple(penalties)} must be above 0")
        reading = {"n_windows": n_windows, "memory_budget": memory_budget, "seed": seed}
        scale = deepcopy(scale).cpu()
        train = normal_equations(movies, splits, spec, scale, k=k, **reading)
        _check_posed(train)
        val_mse: dict[float, float] = {}
        if val is not None:
            held_out = normal_equations(*val, spec, scale, k=k, **reading)
            val_mse = {float(p): held_out.mse(train.solved(p)) for p in penalties}
        penalty = min(val_mse, key=lambda p: val_mse[p]) if val_mse else PENALTY
        weights = train.solved(penalty)
        return cls(scale, weights, n_in=spec.n_in, k=k, penalty=penalty, val_mse=val_mse)

    def for_movie(self, movie: int) -> "Ridge":
        """Itself: the same for every movie."""
        return self


def normal_equations(
    movies: Sequence[xr.DataArray],
    splits: Sequence[Split],
    spec: WindowSpec,
    scale: Standardizer,
    *,
    k: int,
    n_windows: int = N_WINDOWS,
    memory_budget: int = 2 * GIB,
    seed: int = 0,
) -> NormalEquations:
    """The sums that a stencil is fitted from or scored by, over windows evenly spaced in time."""
    one_step = WindowSpec(spec.n_in, 1, spec.step)
    n_all = sum(max(len(s) - one_step.span + 1, 0) for s in splits)
    hop = max(-(-n_all // n_windows), 1)
    height, width = (min(CROP, *(m.sizes[axis] for m in movies)) for axis in ("y", "x"))
    stream = WindowStream(
        movies,
        splits,
        WindowSpec(spec.n_in, 1, spec.step, hop),
        batch_size=8,
        seed=seed,
        memory_budget=memory_budget,
        crop=(height, width),
    )
    # Beyond a cut lie pixels, not an edge: its rim is left out, where replicating would be wrong.
    inside = torch.ones(height, width, dtype=torch.bool)
    if any(m.sizes["y"] > height for m in movies):
        inside[: k // 2] = inside[height - k // 2 :] = False
    if any(m.sizes["x"] > width for m in movies):
        inside[:, : k // 2] = inside[:, width - k // 2 :] = False
    parts = (_batch_equations(batch, scale, k, inside) for batch in stream)
    total = next(parts)
    for part in parts:
        total = total.joined(part)
    return total


def _batch_equations(
    batch: Batch, scale: Standardizer, k: int, inside: Bool[Tensor, "y x"]
) -> NormalEquations:
    frames = rearrange(scale(batch.past), "b t c y x -> b (t c) y x")
    padded = F.pad(frames, (k // 2,) * 4, mode="replicate")
    change = (batch.future[:, 0] - batch.past[:, -1]) / scale.delta_std[:, None, None]
    rows = torch.cat(
        [
            rearrange(F.unfold(padded, k), "b f p -> f (b p)"),
            torch.ones(1, change[:, 0].numel()),
            rearrange(change, "b c y x -> c (b y x)"),
        ]
    )
    counts = repeat(inside, "y x -> c (b y x)", c=change.shape[1], b=len(change))
    if batch.mask is not None:
        counts = counts & rearrange(batch.mask[:, 0], "b c y x -> c (b y x)")
    return _summed(rows.double(), counts)


def _summed(rows: Float[Tensor, "fc p"], counts: Bool[Tensor, "c p"]) -> NormalEquations:
    """Products of the rows (features, then targets) over the pixels that count in each channel."""
    n_channels = len(counts)
    f = len(rows) - n_channels
    shared = bool((counts == counts[0]).all())
    # Half of an epoch's cost is this product: one for all channels, where one mask serves them.
    kept = [rows[:, c] for c in (counts[:1] if shared else counts)]
    grams = [(k @ k.T).numpy() for k in kept] * (n_channels if shared else 1)
    return NormalEquations(
        counts.sum(dim=1).double().numpy(),
        np.stack([g[:f, :f] for g in grams]),
        np.stack([g[:f, f + c] for c, g in enumerate(grams)]),
        np.array([g[f + c, f + c] for c, g in enumerate(grams)]),
    )


def _check_posed(train: NormalEquations) -> None:
    n_weights = train.xx.shape[-1]
    if not all(np.isfinite(v).all() for v in train):
        raise SlimeError("ridge: frames or changes of the train split are not finite numbers")
    if (train.n < n_weights).any():
        raise SlimeError(
            f"ridge: {int(train.n.min())} pixels that count cannot fix {n_weights} weights: "
            "a longer train split, a smaller k or fewer frames (window.n_in) would do"
        )
