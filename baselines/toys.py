"""The nets of the toy exercises as forecasts: what a movie gains by anything larger.

They are trained by the exercises' own function on the same windows as the net, to the change of the
last frame, in seconds however large the movie: a linear law of each pixel's past, a perceptron on
3 x 3 pixels, and a tiny CNN that sees 16 x 16 pixels and says what becomes of 8 x 8.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Literal

import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from baselines.toy_windows import BLOCK, Windows, block_rows, patches, pixel_rows, read_windows
from foundations.images import tiny_cnn
from foundations.nets import fresh, linear_regressor, toy_mlp
from foundations.together import Recipe, fit_together
from foundations.toys import Pairs
from slime.frames import GIB
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Stepper
from slime.windows import WindowSpec

Toy = Literal["toy_linear", "toy_mlp", "toy_cnn"]
TOYS: tuple[Toy, ...] = ("toy_linear", "toy_mlp", "toy_cnn")
N_WINDOWS = {"train": 64, "val": 16}
N_PIXELS = {"train": 4096, "val": 1024}
MLP_SIDE = 3  # pixels a side that the perceptron sees
RECIPES: dict[Toy, Recipe] = {  # of as many epochs as make N_STEPS steps
    "toy_linear": Recipe(lr=2e-2, epochs=0, batch=256),
    "toy_mlp": Recipe(lr=5e-3, epochs=0, batch=256, weight_decay=1e-4),
    "toy_cnn": Recipe(lr=3e-3, epochs=0, batch=64, weight_decay=1e-4),
}
N_STEPS: dict[Toy, int] = {"toy_linear": 200, "toy_mlp": 200, "toy_cnn": 60}


class ToyStepper(Stepper):
    """A trained toy as a step, the same for every movie; nothing in it is trained any more."""

    def __init__(self, scale: Standardizer, net: nn.Module, n_in: int):
        super().__init__(deepcopy(scale), net.eval(), head="residual", n_in=n_in)
        self.requires_grad_(False)

    def for_movie(self, movie: int) -> "ToyStepper":
        """Itself."""
        return self


class OnBlocks(nn.Module):
    """The tiny CNN on frames of any size: for every 8 x 8 block, from the patch around it."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """The change, in blocks side by side."""
        b, _, c, height, width = past.shape
        said = self.net(patches(rearrange(past, "b t c y x -> b (t c) y x")))
        whole = rearrange(
            said,
            "(b i j) (c y x) -> b c (i y) (j x)",
            b=b,
            i=-(-height // BLOCK),
            c=c,
            y=BLOCK,
            x=BLOCK,
        )
        return whole[..., :height, :width]


def on_pixels(net: nn.Module, n_frames: int, k: int) -> nn.Module:
    """A net of linear and pointwise layers on k x k pixels, as convolutions over whole frames.

    `n_frames` counts frames times channels. The first layer takes the k x k pixels, the others 1.
    """
    layers: list[nn.Module] = [nn.Flatten(1, 2)]
    side, n_in = k, n_frames
    for layer in net if isinstance(net, nn.Sequential) else [net]:
        if not isinstance(layer, nn.Linear):
            layers.append(deepcopy(layer))
            continue
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # draws weights of no use
            conv = nn.Conv2d(
                n_in, layer.out_features, side, padding="same", padding_mode="replicate"
            )
            conv.weight.copy_(layer.weight.reshape(conv.weight.shape))
            assert conv.bias is not None
            conv.bias.copy_(layer.bias)
        layers.append(conv)
        side, n_in = 1, layer.out_features
    return nn.Sequential(*layers)


def counted_error(outputs: Tensor, targets: Float[Tensor, "n 2 v"]) -> Float[Tensor, " n"]:
    """The squared error of each row over the values that count, by the number of all."""
    values, counts = targets.unbind(dim=1)
    return ((outputs - values).square() * counts).mean(dim=1)


def toy_fits(
    train: tuple[Sequence[xr.DataArray], Sequence[Split]],
    val: tuple[Sequence[xr.DataArray], Sequence[Split]] | None,
    spec: WindowSpec,
    scale: Standardizer,
    *,
    memory_budget: int = 2 * GIB,
    seed: int = 0,
) -> dict[Toy, Callable[[], ToyStepper]]:
    """For each toy a function that trains it, on the CPU; their windows are read once.

    The weights of least validation loss are kept, of train loss where there is no validation.
    Masked pixels of the frame to predict are left out.
    """
    scale = deepcopy(scale).cpu()

    @cache
    def windows(part: Literal["train", "val"]) -> Windows:
        of = val if part == "val" and val is not None else train
        return read_windows(
            *of,
            spec,
            scale,
            n_windows=N_WINDOWS[part],
            memory_budget=memory_budget,
            seed=seed,
        )

    def rows(part: Literal["train", "val"], toy: Toy) -> Pairs:
        if part == "val" and not windows("val").counts.any():
            part = "train"
        if toy == "toy_cnn":
            return block_rows(windows(part))
        k = MLP_SIDE if toy == "toy_mlp" else 1
        return pixel_rows(windows(part), k, n=N_PIXELS[part], seed=seed)

    def trained(toy: Toy) -> ToyStepper:
        n_channels = len(scale.mean)
        pairs = rows("train", toy)
        (net,) = fit_together(
            fresh(lambda: empty_net(toy, spec.n_in * n_channels, n_channels), [seed]),
            [pairs],
            [rows("val", toy)],
            recipe(toy, len(pairs.x)),
            loss=counted_error,
            seed=seed,
        ).best
        return ToyStepper(scale, over_frames(toy, net, spec.n_in * n_channels), spec.n_in)

    return {toy: lambda toy=toy: trained(toy) for toy in TOYS}


def recipe(toy: Toy, n: int) -> Recipe:
    """How a toy is trained on `n` rows: the rate falls to a third twice on the way."""
    of = RECIPES[toy]
    epochs = max(round(N_STEPS[toy] / -(-n // of.batch)), 3)
    return of._replace(epochs=epochs, schedule=(-(-epochs // 3), 1 / 3))


def empty_net(toy: Toy, n_frames: int, n_channels: int) -> nn.Module:
    """The net of an exercise, its sizes those of the movie; without dropout, as numbers are asked.

    `n_frames` counts frames times channels.
    """
    if toy == "toy_linear":
        return linear_regressor(n_frames, n_channels)
    if toy == "toy_mlp":
        return toy_mlp(n_frames * MLP_SIDE**2, n_channels, dropout=0.0)
    return tiny_cnn(n_frames, n_channels * BLOCK**2, dropout=0.0)


def over_frames(toy: Toy, net: nn.Module, n_frames: int) -> nn.Module:
    """A trained net on frames of any size."""
    if toy == "toy_cnn":
        return OnBlocks(net)
    return on_pixels(net, n_frames, MLP_SIDE if toy == "toy_mlp" else 1)
