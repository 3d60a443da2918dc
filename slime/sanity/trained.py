"""Controls of a trained net: what its skill is made of."""

from dataclasses import replace

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor

from foundations.sanity import Verdict, changed_inputs, trivial_features, without_meaning
from slime.sanity.setting import Setting
from slime.sanity.trials import targets_of
from slime.stepper import Step, Stepper
from slime.stream import Batch

LEAST_DROP = 0.01  # of skill, where frames given are put out of order


def trained_controls(setting: Setting, stepper: Stepper) -> list[Verdict]:
    """Of the best checkpoint, on windows of the validation split; at lead 1."""
    spec = replace(setting.config.window, n_out=1)
    train = setting.windows("train", spec, n_places=8, n_each=8)
    held = setting.windows("val", spec, n_places=8, n_each=8)
    stepper.eval()
    return [*order_controls(stepper, held, setting.config.seed), features(stepper, train, held)]


def order_controls(stepper: Step, held: Batch, seed: int) -> list[Verdict]:
    """What the order of the frames given is worth, and how a film run backwards is forecast."""
    past, targets = held.past, targets_of(held)
    n_in = past.shape[1]
    names = ("reversed_frames", "shuffled_frames", "repeated_frame")
    if n_in == 1:
        one = "one frame is given (window.n_in=1)"
        return [*(without_meaning(n, one) for n in names), backwards(stepper, held)]
    draw = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(n_in, generator=draw) for _ in past]).to(past.device)
    rows = torch.arange(len(past), device=past.device)[:, None]
    changes = {
        names[0]: lambda given: given.flip(1),
        names[1]: lambda given: given[rows, orders],
        names[2]: lambda given: given[:, -1:].expand_as(given),
    }
    verdicts = changed_inputs(stepper, skill, (past, targets), changes, least=LEAST_DROP)
    return [*verdicts, backwards(stepper, held)]


def backwards(stepper: Step, held: Batch) -> Verdict:
    """Skill forwards less skill on the same windows run backwards; told, but not judged.

    Noise and what swings to and fro look the same both ways.
    """
    film = torch.cat([held.past, held.future[:, :1]], dim=1).flip(1)
    forward, back = targets_of(held), film[:, -1].where(targets_of(held).isfinite(), torch.nan)
    with torch.no_grad():
        here = skill(held.past, stepper(held.past), forward)
        there = skill(film[:, :-1], stepper(film[:, :-1]), back)
    says = f"skill {here:+.3f}, of the film run backwards {there:+.3f}"
    return Verdict("played_backwards", here - there, -np.inf, np.inf, says)


def skill(
    past: Float[Tensor, "b t c y x"],
    forecast: Float[Tensor, "b c y x"],
    targets: Float[Tensor, "b c y x"],
) -> float:
    """1 - squared error / that of the last frame, over the pixels that count."""
    error, still = (forecast - targets).square(), (past[:, -1] - targets).square()
    return float(1 - error.nanmean() / still.nanmean())


def features(stepper: Step, train: Batch, held: Batch) -> Verdict:
    """What place, time and mean brightness alone tell of a pixel's change, beside the net."""
    with torch.no_grad():
        ours = skill(held.past, stepper(held.past), targets_of(held))
    if not ours > 0:
        return without_meaning("trivial_features", f"the net has no skill ({ours:+.3f})")
    estimator = make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge(1.0))
    change = _pixels(targets_of(train) - train.past[:, -1])
    known = np.isfinite(change).all(axis=1)
    shape = held.future[:, 0].shape

    def score(said: np.ndarray) -> float:
        _, c, y, x = shape
        said = said.reshape(-1, c)  # one channel comes without its axis
        step = rearrange(torch.from_numpy(said), "(b y x) c -> b c y x", y=y, x=x)
        return skill(held.past, held.past[:, -1] + step.to(held.past), targets_of(held))

    return trivial_features(
        estimator,
        (_trivial(train)[known], change[known]),
        _trivial(held),
        score,
        ours=ours,
    )


def _trivial(batch: Batch) -> Float[np.ndarray, "pixels features"]:
    """Of each pixel its row, column and frame number, and the mean of each frame given."""
    b, _, _, y, x = batch.past.shape
    means = rearrange(batch.past.mean(dim=(3, 4)), "b t c -> b (t c)").cpu().numpy()
    of_frame = np.column_stack([batch.start.cpu().numpy(), means])
    row, column = np.meshgrid(np.linspace(-1, 1, y), np.linspace(-1, 1, x), indexing="ij")
    place = np.tile(np.column_stack([row.ravel(), column.ravel()]), (b, 1))
    return np.column_stack([place, repeat(of_frame, "b f -> (b n) f", n=y * x)])


def _pixels(frames: Float[Tensor, "b c y x"]) -> Float[np.ndarray, "pixels c"]:
    return rearrange(frames, "b c y x -> (b y x) c").cpu().numpy()
