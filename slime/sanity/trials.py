"""Controls that take seconds to a minute: nets trained on one batch, and on shuffled targets."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from foundations.sanity import (
    Fitted,
    Verdict,
    overfit_one_batch,
    shuffled_targets,
    without_meaning,
)
from slime.optim import learning_rate, weight_groups
from slime.sanity.cheap import loss_on, silent_loss
from slime.sanity.setting import Setting
from slime.stream import Batch

STEPS = 200  # of the two short trainings
ROWS = 16  # windows a step


def overfit_control(setting: Setting) -> Verdict:
    """One window of as few pixels as the net takes, learned by heart: the liveliest of some.

    In a window in which nothing happens there is nothing to learn.
    """
    some = setting.windows("train", setting.config.window, n_places=16, n_each=1, side=8)
    net = setting.fresh()
    batch = max(_rows(some), key=partial(silent_loss, net))
    n_weights, n_targets = sum(p.numel() for p in net.parameters()), batch.future.numel()
    if getattr(net.net, "receptive_radius", None) == 0:
        why = "the net sees one pixel, and equal pixels may ask for different answers"
        return without_meaning("overfit_one_batch", why)
    if n_weights < 4 * n_targets:
        few = f"{n_weights} weights are too few to learn {n_targets} pixels by heart"
        return without_meaning("overfit_one_batch", few)
    loss = partial(loss_on, batch=batch, optim=setting.config.optim)
    return overfit_one_batch(net, loss, expected=silent_loss(net, batch))


def _rows(batch: Batch) -> list[Batch]:
    """Each window as a batch of its own."""
    past, future, mask, movie, start = batch
    rows = [slice(i, i + 1) for i in range(len(past))]
    return [
        Batch(past[i], future[i], None if mask is None else mask[i], movie[i], start[i])
        for i in rows
    ]


def shuffle_controls(setting: Setting) -> list[Verdict]:
    """A short training on targets of other places, beside one on true ones; at lead 1.

    Chance is no skill over a blend of the last frame and the mean. The band leaves room for what a
    mean of few windows is off by, and for another blend in one part of the frame than in another.
    """
    spec = replace(setting.config.window, n_out=1)
    train = setting.windows("train", spec, n_places=16, n_each=8)
    held = setting.windows("val", spec, n_places=8, n_each=8)
    n_train, n_held = len(train.past), len(held.past)
    return list(
        shuffled_targets(
            partial(short_training, setting),
            skill_over_blend,
            (torch.cat([train.past, held.past]), torch.cat([targets_of(train), targets_of(held)])),
            torch.arange(n_train),
            torch.arange(n_train, n_train + n_held),
            high=0.05,
            true_high=0.1,
            seed=setting.config.seed,
            groups=torch.cat([train.movie, held.movie + 1 + train.movie.max()]),
        )
    )


def targets_of(batch: Batch) -> Float[Tensor, "b c y x"]:
    """The first frame to predict; NaN where a pixel does not count."""
    future = batch.future[:, 0]
    return future if batch.mask is None else future.where(batch.mask[:, 0], torch.nan)


def short_training(
    setting: Setting, past: Float[Tensor, "b t c y x"], targets: Float[Tensor, "b c y x"]
) -> Fitted:
    """A fresh net after STEPS steps of the run's own optimizer, and its loss at each."""
    optim = setting.config.optim
    net = setting.fresh().train()
    optimizer = torch.optim.AdamW(weight_groups(net, optim), lr=optim.lr)
    draw = np.random.default_rng(setting.config.seed)
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, STEPS, optim)
        rows = torch.from_numpy(draw.permutation(len(past))[:ROWS]).to(past.device)
        error = (net(past[rows]) - targets[rows]) / net.scale.delta_std[:, None, None]
        loss = error.square().nanmean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return Fitted(net.eval(), losses)


def skill_over_blend(
    past: Float[Tensor, "b t c y x"],
    forecast: Float[Tensor, "b c y x"],
    targets: Float[Tensor, "b c y x"],
) -> float:
    """1 - squared error / that of the best blend of the last frame and the targets' mean.

    A net that unlearns the last frame passes through such blends on its way to the mean, and they
    may beat both: skill over either alone would not mean that it had learned anything. The weight
    of the last frame is the best there is, from 0 to 1.
    """
    mean = targets.nanmean(dim=0)
    last, truth = past[:, -1] - mean, targets - mean
    counts = truth.isfinite()
    weight = (last * truth)[counts].sum() / last[counts].square().sum()
    blend = (weight.clamp(0, 1) * last - truth)[counts].square().mean()
    return float(1 - (forecast - targets)[counts].square().mean() / blend)
