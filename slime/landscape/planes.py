"""Planes through several trained nets: three runs, or one run's way through its training.

What moves is told in slime.landscape.between.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from slime.errors import SlimeError
from slime.landscape.differences import State, combined, difference, inner, length
from slime.landscape.directions import Direction
from slime.landscape.grid import Progress, centred_axis, loss_surface
from slime.landscape.loss import HeldWindows, Precision, hold_windows, left_as_found, loss_now
from slime.landscape.norms import Steps, all_between, statistics, told
from slime.stepper import Stepper, weights_hash
from slime.stream import Batch

MARGIN = 1.25  # how far a plane reaches beyond the nets that lie in it


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
    far = length(first)
    u = {name: step / far for name, step in first.items()}
    along = inner(second, u)
    across = {name: step - along * u[name] for name, step in second.items()}
    height = length(across)
    if height <= 1e-6 * max(length(second), far):
        raise SlimeError("the three nets lie on one line: they span no plane")
    v = {name: step / height for name, step in across.items()}
    norms = all_between(one, others)
    if norms is not None:
        to_first, to_second = norms
        u_norms = combined([to_first], [1 / far])
        norms = [u_norms, combined([to_second, u_norms], [1 / height, -along / height])]
    places = np.array([[0, 0], [far, 0], [along, height]])
    plane = _about(one, windows, (u, v), places, n_points, progress, keep, norms=norms)
    return plane.assign_attrs(
        other_sha256=[weights_hash(state) for state in others],
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
    products = np.array([[inner(a, b) for a in steps] for b in steps])
    values, vectors = np.linalg.eigh(products)
    if values[-2] <= 1e-12 * max(values[-1], np.finfo(float).tiny):
        raise SlimeError("the snapshots lie on one line with the trained net: no plane holds them")
    axes: list[Direction] = []
    norms = all_between(trained, list(snapshots.values()))
    of_axes = []
    for value, vector in ((values[-1], vectors[:, -1]), (values[-2], vectors[:, -2])):
        # a component's sign is free: the first snapshot lies on the positive side
        shares = vector * (1 if vector[0] >= 0 else -1) / np.sqrt(value)
        axes.append(combined(steps, shares))
        of_axes += [combined(norms, shares)] if norms is not None else []
    places = np.array([[inner(step, axis) for axis in axes] for step in steps])
    norms = of_axes or None
    plane = _about(trained, windows, axes, places, n_points, progress, keep, norms=norms)
    return plane.assign_attrs(
        **_own(trained, windows, list(snapshots.values()), places, "snapshot"),
        snapshot_epoch=[int(epoch) for epoch in snapshots],
        explained=(values[[-1, -2]] / values.sum()).tolist(),
        directions="principal components of the training",
    )


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
    plane.attrs |= told(norms)
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
