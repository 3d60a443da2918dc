"""Controls of a model before it is trained: does it learn, from all of its input, row by row?

None leaves a trace: a model that is trained or differentiated here is a copy of the one given.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from foundations.verdict import Verdict, without_meaning

Predict = Callable[[Tensor], Tensor]


def initial_loss(
    loss: float,
    expected: float,
    *,
    low: float = 0.5,
    high: float = 2.0,
    of: str = "knowing nothing",
) -> Verdict:
    """A fresh model's loss over its closed form, such as log(n) for n equally frequent classes.

    The outputs of fresh weights are small and know nothing: they add their own square, little.
    """
    ratio = loss / expected
    says = f"a fresh model's loss is {loss:.4g}; {of} costs {expected:.4g}"
    return Verdict("initial_loss", ratio, low, high, says)


def overfit_one_batch(
    model: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    *,
    n_steps: int = 300,
    rates: Sequence[float] = (3e-3, 1e-3),
    most: float = 0.05,
    expected: float | None = None,
) -> Verdict:
    """The share of the loss that is left when a copy of the model is trained on one batch alone.

    A model that cannot learn a few numbers by heart cannot learn: its gradients, its targets or its
    size are wrong. Without dropout, by Adam under half a cosine, gradients clipped at norm 1; ends
    early once far below `most`.

    Args:
        loss: of a model on the batch, always the same.
        rates: learning rates, of which the next is tried where one fails: deep nets need low ones,
            small nets high ones, and the question is whether the batch can be learned at all.
        expected: the loss of knowing nothing; the first one by default.
    """
    best, losses = math.inf, [math.nan]
    for rate in rates:
        tried = _losses(deepcopy(model).eval(), loss, n_steps, rate, 0.2 * most, expected)
        left = tried[-1] / (tried[0] if expected is None else expected)
        if left < best or math.isnan(losses[-1]):
            best, losses = left, tried
        if best <= most:
            break
    says = f"{best:.2%} of the loss is left after {len(losses) - 1} steps on one batch"
    return Verdict("overfit_one_batch", best, 0.0, most, says, {"loss on one batch": losses})


def _losses(
    model: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    n_steps: int,
    rate: float,
    enough: float,
    expected: float | None,
) -> list[float]:
    """The losses before each step and after the last one; the model is trained in place."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    losses: list[float] = []
    for step in range(n_steps + 1):
        value = loss(model)
        losses.append(float(value.detach()))
        far_below = losses[-1] < enough * (losses[0] if expected is None else expected)
        if step == n_steps or far_below or not math.isfinite(losses[-1]):
            break
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return losses


def gradients(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], *, idle: Iterable[str] = ()
) -> Verdict:
    """The share of parameters that a loss moves; all must, or a layer's output is thrown away.

    Args:
        idle: parts of names of parameters that are known to rest.
    """
    copy = deepcopy(model).eval()
    copy.zero_grad()
    loss(copy).backward()
    named = [
        (name, p.grad)
        for name, p in copy.named_parameters()
        if p.requires_grad and not any(word in name for word in idle)
    ]
    still = [n for n, g in named if g is None or not bool((g != 0).any() & g.isfinite().all())]
    share = 1 - len(still) / len(named)
    says = f"{len(named) - len(still)} of {len(named)} parameters get a gradient"
    return Verdict("gradients", share, 1.0, 1.0, says + (f": not {still[0]}" if still else ""))


def uses_frames(predict: Predict, past: Tensor) -> Verdict:
    """The share of frames given (axis 1) on which the prediction depends; all must."""
    given = past.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(predict(given).square().sum(), given)
    used = slope.transpose(0, 1).flatten(1).abs().amax(dim=1) > 0
    unused = [int(i) for i in torch.nonzero(~used)]
    says = f"the output depends on {int(used.sum())} of {len(used)} frames given"
    says += f", not on {unused} (the last is {len(used) - 1})" if unused else ""
    return Verdict("uses_frames", float(used.float().mean()), 1.0, 1.0, says)


def batch_independence(model: nn.Module, inputs: Tensor, *, most: float = 1e-5) -> Verdict:
    """How far an output moves when the others of its batch change, in its own deviations.

    Taken as in training, but without dropout, since that is where a norm over the batch mixes rows.
    """
    copy = deepcopy(model).train()
    for module in copy.modules():
        if "Dropout" in type(module).__name__:
            module.eval()
    moved = 0.0
    with torch.no_grad():
        before = copy(inputs)
        for i in range(len(inputs)):
            others = 2 * inputs.flip(0)
            others[i] = inputs[i]
            row = before[i]
            moved = max(moved, float((copy(others)[i] - row).abs().max() / row.std()))
    says = f"a row moves by {moved:.1e} of its deviation when all others of its batch change"
    if len(inputs) < 2:
        return without_meaning("batch_independence", "there is one window")
    return Verdict("batch_independence", moved, 0.0, most, says)


def round_trip(there: Predict, back: Predict, values: Tensor, *, most: float = 1e-5) -> Verdict:
    """The largest error of mapping values there and back, in deviations of the values."""
    error = float((back(there(values)) - values).abs().max() / values.std())
    says = f"there and back again values are off by {error:.1e} of their deviation"
    return Verdict("round_trip", error, 0.0, most, says)
