"""Lines and planes through several trained nets: other runs, or one run's way through its training.

Unlike random directions these move every parameter, biases and a head's gate too, and statistics of
normalisation layers go along (slime.landscape.norms). Other buffers stay, and must be the same in
all: a net half way between two scales stands for nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError
from slime.landscape.directions import Direction, inner_product
from slime.landscape.loss import HeldWindows, Precision, hold_windows, left_as_found, loss_now
from slime.landscape.norms import TOLD, Steps, counts, statistics, statistics_between
from slime.landscape.surface import Progress, centred_axis, loss_surface
from slime.stepper import Stepper, weights_hash
from slime.stream import Batch

State = Mapping[str, Tensor]  # a stepper's state_dict
MARGIN = 1.25  # how far a plane reaches beyond the nets that lie in it


def loss_between(
    one: Stepper,
    other: State,
    batches: Iterable[Batch],
    *,
    n_points: int = 21,
    beyond: float | int = 0.25,
    lead: int = 1,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """The loss at one + alpha (other - one): axis alpha, 0 at the one net and 1 at the other.

    Attributes: `barrier`, by how much the loss between them rises at most above the straight line
    between its two ends (Entezari et al. 2022, arXiv 2110.06296; the ends left out, so that it is
    below 0 where all between them is lower), and `distance`. A horizon has no barrier.

    Args:
        other: the state of a stepper of the same shape and buffers.
        n_points: between the two, both counted; the step goes on `beyond` of the way on each side.

    Raises:
        SlimeError: states that do not fit, fewer than 3 points, or as loss_plane.
    """
    if n_points < 3 or beyond < 0:
        raise SlimeError(f"n_points={n_points} must be at least 3 and beyond={beyond} at least 0")
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, one, **held)
    more = round(beyond * (n_points - 1))
    axis = np.arange(-more, n_points + more) / (n_points - 1)
    step = difference(one, other)
    norms = _norms(one, [other])
    line = loss_surface(
        one, windows, {"alpha": (axis, step)}, progress, moving=one, norms=norms, keep=keep
    ).assign_attrs({**_of_others([other]), **_told(norms)})
    line.attrs["distance"] = line.attrs.pop("alpha_norm")
    line.attrs["directions"] = "from one net to another"
    if windows.threshold is None:
        inside = line.values[more : more + n_points]
        share = axis[more : more + n_points]
        rise = inside - ((1 - share) * inside[0] + share * inside[-1])
        line.attrs["barrier"] = float(rise[1:-1].max())
    line["alpha"].attrs["long_name"] = "share of the way from one net to the other"
    return line


def plane_through(
    one: Stepper,
    others: Sequence[State],
    batches: Iterable[Batch],
    *,
    n_points: int = 15,
    lead: int = 1,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """The plane through three nets: alpha towards the second, beta at a right angle to it.

    Axes are distances in weights from the first net, which lies at (0, 0) (Garipov et al. 2018,
    arXiv 1802.10026). Attributes: `net_alpha`, `net_beta` and `net_loss` of the three, each with
    its own loss rather than that of a cell near it.

    Args:
        others: the states of the second and third.

    Raises:
        SlimeError: not two of them, nets on one line, states that do not fit, or as loss_plane.
    """
    if len(others) != 2:
        raise SlimeError(f"a plane goes through 3 nets, but {len(others) + 1} were given")
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, one, **held)
    first, second = (difference(one, other) for other in others)
    length = _norm(first)
    u = {name: step / length for name, step in first.items()}
    along = _inner(second, u)
    across = {name: step - along * u[name] for name, step in second.items()}
    height = _norm(across)
    if height <= 1e-6 * max(_norm(second), length):
        raise SlimeError("the three nets lie on one line: they span no plane")
    v = {name: step / height for name, step in across.items()}
    norms = _norms(one, others)
    if norms is not None:
        to_first, to_second = norms
        u_norms = _combined([to_first], [1 / length])
        norms = [u_norms, _combined([to_second, u_norms], [1 / height, -along / height])]
    places = np.array([[0, 0], [length, 0], [along, height]])
    plane = _about(one, windows, (u, v), places, n_points, progress, keep, norms=norms)
    return plane.assign_attrs(
        **_of_others(others),
        **_own(one, windows, [one.state_dict(), *others], places, "net"),
        directions="through three nets",
    )


def trajectory_plane(
    trained: Stepper,
    snapshots: Mapping[int, State],
    batches: Iterable[Batch],
    *,
    n_points: int = 15,
    lead: int = 1,
    micro_batch: int | None = None,
    loss: str = "mse",
    precision: Precision = "float32",
    progress: Progress | None = None,
    keep: Path | str | None = None,
) -> xr.DataArray:
    """The plane about a trained net in which its way through training is seen best.

    Axes are the two principal components of the snapshots' differences to it, of length 1 (Li et
    al. 2018, arXiv 1712.09913). Attributes: `snapshot_epoch`, `snapshot_alpha`, `snapshot_beta`,
    and `snapshot_loss`, each snapshot's own loss: off the plane, that is not the loss of the cell
    where it is drawn; `explained`, the shares of the squared distances that the axes hold.

    Args:
        snapshots: a state for each of three epochs or more.

    Raises:
        SlimeError: fewer snapshots, none that differs, states that do not fit, or as loss_plane.
    """
    if len(snapshots) < 3:
        raise SlimeError(
            f"a trajectory needs 3 snapshots, but there are {len(snapshots)}: train with "
            "landscape.snapshots=12"
        )
    held: Any = {"lead": lead, "micro_batch": micro_batch, "loss": loss, "precision": precision}
    windows = hold_windows(batches, trained, **held)
    steps = [difference(trained, state, same=True) for state in snapshots.values()]
    inner = np.array([[_inner(a, b) for a in steps] for b in steps])
    values, vectors = np.linalg.eigh(inner)
    if values[-2] <= 1e-12 * max(values[-1], np.finfo(float).tiny):
        raise SlimeError("the snapshots lie on one line with the trained net: no plane holds them")
    axes: list[Direction] = []
    norms = _norms(trained, list(snapshots.values()))
    of_axes = []
    for value, vector in ((values[-1], vectors[:, -1]), (values[-2], vectors[:, -2])):
        # a component's sign is free: the first snapshot lies on the positive side
        shares = vector * (1 if vector[0] >= 0 else -1) / np.sqrt(value)
        axes.append(_combined(steps, shares))
        of_axes += [_combined(norms, shares)] if norms is not None else []
    places = np.array([[_inner(step, axis) for axis in axes] for step in steps])
    norms = of_axes or None
    plane = _about(trained, windows, axes, places, n_points, progress, keep, norms=norms)
    return plane.assign_attrs(
        **_own(trained, windows, list(snapshots.values()), places, "snapshot"),
        snapshot_epoch=[int(epoch) for epoch in snapshots],
        explained=(values[[-1, -2]] / values.sum()).tolist(),
        directions="principal components of the training",
    )


def difference(one: Stepper, other: State, *, same: bool = False) -> Direction:
    """What leads from a stepper's parameters to another's.

    Args:
        same: whether they may be equal.

    Raises:
        SlimeError: other names, shapes or buffers, or equal parameters where `same` is false.
    """
    own, weights = one.state_dict(), dict(one.named_parameters())
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in other.items()}:
        raise SlimeError("the nets are not of one shape: nothing lies between them")
    free = statistics(one).keys() | counts(one)
    for name in own.keys() - weights.keys() - free:
        if not torch.equal(own[name], other[name].to(own[name])):
            raise SlimeError(
                f"the nets differ in {name}, which is fitted and not trained: they were given "
                "other frames or another scale, and nothing lies between them"
            )
    steps = {name: other[name].to(weight) - weight.detach() for name, weight in weights.items()}
    if not same and not any(step.any() for step in steps.values()):
        raise SlimeError("the two nets are the same: nothing lies between them")
    return steps


def _about(
    one: Stepper,
    windows: HeldWindows,
    axes: Sequence[Direction],
    places: Float[np.ndarray, "nets 2"],
    n_points: int,
    progress: Progress | None,
    keep: Path | str | None,
    *,
    norms: Sequence[Steps] | None,
) -> xr.DataArray:
    """A plane about a net that reaches beyond all places, on each axis as far as it must."""
    reach = MARGIN * np.abs(places).max(axis=0)
    grid = {
        name: (centred_axis(n_points, float(far)), axis)
        for name, far, axis in zip(("alpha", "beta"), reach, axes, strict=True)
    }
    plane = loss_surface(one, windows, grid, progress, moving=one, norms=norms, keep=keep)
    plane.attrs |= _told(norms)
    for name in grid:
        plane[name].attrs["long_name"] = f"distance in weights along {name}"
    return plane


def _own(
    one: Stepper,
    windows: HeldWindows,
    states: Sequence[State],
    places: Float[np.ndarray, "nets 2"],
    what: str,
) -> dict[str, Any]:
    """Where nets lie in a plane, and the loss of each itself."""
    losses = []
    weights = dict(one.named_parameters())
    with left_as_found(one):
        for state in states:
            for name, tensor in {**weights, **statistics(one)}.items():
                tensor.copy_(state[name])
            losses.append(loss_now(one, windows))
    return {
        f"{what}_alpha": places[:, 0].tolist(),
        f"{what}_beta": places[:, 1].tolist(),
        f"{what}_loss": losses,
    }


def _of_others(others: Sequence[State]) -> dict[str, Any]:
    return {"other_sha256": [weights_hash(state) for state in others]}


def _inner(one: Direction, other: Direction) -> float:
    return inner_product(list(one.values()), [other[name] for name in one])


def _norm(one: Direction) -> float:
    return float(np.sqrt(_inner(one, one)))


def _norms(one: Stepper, others: Sequence[State]) -> list[Steps] | None:
    """What leads to each other net's statistics; None where there are none."""
    return [statistics_between(one, other) for other in others] if statistics(one) else None


def _told(norms: Sequence[Steps] | None) -> dict[str, str]:
    return {} if norms is None else {"norm_statistics": TOLD}


def _combined(
    steps: Sequence[Direction], shares: Sequence[float] | Float[np.ndarray, " nets"]
) -> Direction:
    return {
        name: torch.stack(
            [float(share) * step[name] for share, step in zip(shares, steps, strict=True)]
        ).sum(dim=0)
        for name in steps[0]
    }
