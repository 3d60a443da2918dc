"""The controls of every training: a second or two, before it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundations.sanity import (
    Verdict,
    batch_independence,
    gradients,
    initial_loss,
    overlap,
    right_answer,
    round_trip,
    uses_frames,
)
from slime.arena import most_leads
from slime.fit import evaluate, persistence, training_loss
from slime.optim import OptimSpec
from slime.prepare import without_gap
from slime.sanity.setting import Setting
from slime.score import frame_pearson, horizon, skill
from slime.split import Split
from slime.stepper import Step, Stepper
from slime.stream import Batch
from slime.windows import WindowSpec

LEADS = 3  # that the right answer is followed


def cheap_controls(setting: Setting) -> list[Verdict]:
    """Of the net as it begins, and of the windows, splits and scores that it will meet."""
    net = setting.fresh().eval()
    batch = setting.windows("train", setting.config.window, n_places=4, n_each=2)
    seen = setting.scale(batch.past)
    return [
        *loss_controls(net, batch, setting.config.optim),
        gradients(
            net,
            partial(loss_on, batch=batch, optim=setting.config.optim),
            idle=getattr(net.net, "idle", ()),
        ),
        uses_frames(net.net, seen),
        batch_independence(net.net, seen[::2]),
        round_trip(setting.scale, setting.scale.undo, batch.past),
        future_apart(batch),
        *overlap_controls(setting),
        *answer_controls(setting),
    ]


def loss_on(stepper: nn.Module, *, batch: Batch, optim: OptimSpec) -> Float[Tensor, ""]:
    """The loss of training on one batch."""
    assert isinstance(stepper, Stepper)
    return training_loss(stepper, batch, optim)


def silent_loss(stepper: Stepper, batch: Batch) -> float:
    """What a net that says 0 costs, in closed form and in the units of the training loss.

    A residual or gated head repeats the last frame then, a direct one gives the train mean.
    """
    direct = stepper.head == "direct"
    base = stepper.scale.mean[:, None, None] if direct else batch.past[:, -1:]
    error = (batch.future - base) / stepper.scale.delta_std[:, None, None]
    counts = torch.ones_like(error) if batch.mask is None else batch.mask.to(error.dtype)
    return float((error.square() * counts).sum() / counts.sum())


def loss_controls(stepper: Stepper, batch: Batch, optim: OptimSpec) -> list[Verdict]:
    """The first loss beside its closed form, with the net as it is and with one that says 0.

    In the head's own units that form is 1 over the train split, the variance of what it predicts;
    a batch may be livelier or quieter, which is taken off. A fresh net and the stencil beside it
    each add about the variance of their input at most: hence a factor of 4.
    """
    expected = silent_loss(stepper, batch)
    scale = stepper.scale
    unit = float((scale.std / scale.delta_std).square().mean()) if stepper.head == "direct" else 1.0
    silent = Stepper(scale, _Silent(), stepper.head, stepper.n_in).to(batch.past.device)
    with torch.no_grad():
        first = float(loss_on(stepper, batch=batch, optim=optim))
        told = float(loss_on(silent, batch=batch, optim=optim))
    of = "the train mean" if stepper.head == "direct" else "repeating the last frame"
    says = f"with a net that says 0 the loss is {told:.4g}; {of} costs {expected:.4g}"
    of += ", in the head's own units,"
    return [
        initial_loss(1 + (first - expected) / unit, 1.0, low=0.25, high=4.0, of=of),
        replace(initial_loss(told, expected, low=0.99, high=1.01), name="silent_net", says=says),
    ]


class _Silent(nn.Module):
    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        return torch.zeros_like(past[:, -1])


def future_apart(batch: Batch) -> Verdict:
    """The share of windows in which a frame to predict equals a given one, bit by bit.

    A few may show a movie that stands still; all of them, that the answer is given.
    """
    same = (batch.past[:, :, None] == batch.future[:, None]).flatten(3).all(dim=3)
    share = float(same.flatten(1).any(dim=1).float().mean())
    says = f"{share:.0%} of windows are given a frame that they are to predict"
    return Verdict("future_apart", share, 0.0, 0.5, says)


def overlap_controls(setting: Setting) -> list[Verdict]:
    """Whether splits share a frame: by the pixels of their frames, and by their windows' numbers.

    Blank frames and those of one value all over are no evidence and are left out.
    """
    prepared, spec = setting.prepared, setting.config.window
    pixels: dict[str, list[np.ndarray]] = {}
    frames: dict[str, list[np.ndarray]] = {}
    n_before = 0
    for movie, cut, report in zip(prepared.movies, prepared.splits, prepared.reports, strict=True):
        table, telling = report.table, ~report.blank & ~report.table.uniform
        for name, split in cut.items():
            rows = slice(split.start, split.stop)
            pixels.setdefault(name, []).append(table.digest[rows][telling[rows]])
            frames.setdefault(name, []).append(n_before + _touched(split, spec))
        n_before += movie.sizes["time"]
    by_number = overlap(_joined(frames), of="frames of windows")
    return [overlap(_joined(pixels)), replace(by_number, name="windows_apart")]


def _joined(parts: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _touched(split: Split, spec: WindowSpec) -> Int[np.ndarray, " frames"]:
    """The frames that windows of a split hold."""
    starts = np.arange(split.start, split.stop - spec.span + 1, spec.hop)
    return np.unique(starts[:, None] + np.arange(spec.n_frames) * spec.step)


def answer_controls(setting: Setting) -> list[Verdict]:
    """The frames to predict, and those a frame late, scored as every forecast is."""
    window = setting.config.window
    reach = [
        most_leads(movie, without_gap(split), window.n_in, LEADS, window.step)
        for movie, split in zip(*setting.prepared.of("val"), strict=True)
    ]
    spec = replace(window, n_out=max(reach))
    batch = setting.windows("val", spec, n_places=4, n_each=2)
    reference = evaluate(persistence, [batch]).total()

    def score(frames: Float[Tensor, "b lead c y x"]) -> float:
        tally = evaluate(_said(frames), [batch])
        return float(skill(tally.total(), reference, pool=True).min())

    late = torch.cat([batch.past[:, -1:], batch.future[:, :-1]], dim=1)
    right, wrong = right_answer(score, batch.future, late)
    tally = evaluate(_said(batch.future), [batch])
    told = ~(frame_pearson(tally) < 2).all(axis=1)  # windows with a flat frame have no correlation
    crossed = horizon(tally, 0.8)[1] & ~told
    says = f"{int(crossed.sum())} of {crossed.size} right forecasts lose the truth"
    return [right, wrong, Verdict("right_horizon", float(crossed.mean()), 0.0, 0.0, says)]


def _said(frames: Float[Tensor, "b lead c y x"]) -> Step:
    """A step that says these frames, one a call, whatever it is given."""
    left = iter(frames.unbind(dim=1))
    return lambda past: next(left)
