"""Sensor offset and sensor angle of Jones' agents, from observables of pictures of their trail.

The agents are hidden and move by chance, so that no pixel can be foretold; what a network looks
like can. Networks are simulated over a range of both parameters, and what was put in is regressed
on what is measured (regression ABC: Beaumont, Zhang & Balding 2002, doi
10.1093/genetics/162.4.2025; Fearnhead & Prangle 2012, doi 10.1111/j.1467-9868.2011.01010.x). Bias
and interval are those of the simulated networks that come out alike, each predicted by a regression
without it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from slime.observables.network import find_network
from slime.observables.structure import correlation_length, structure_factor
from slime.progress import Progress
from slime.simulate.camera import expose
from slime.simulate.physarum import advanced, initial_state
from slime.simulate.physarum_film import PhysarumCameraSpec, physarum_counts
from slime.simulate.physarum_spec import PhysarumSpec

NAMES = ("sensor_offset_px", "sensor_angle_deg")
LOWEST, HIGHEST = np.array([3.0, 15.0]), np.array([20.0, 95.0])
N_BANDS = 6  # of the structure factor, each an equal share of its rings' logarithm
N_ALIKE = 50  # simulated networks that tell the error of one


class Filming(NamedTuple):
    """What is known of how networks are simulated and seen.

    Attributes:
        steps: of the model at each picture that is measured, rising.
        seconds: under the light at each picture, by which the label has bleached.
    """

    spec: PhysarumSpec
    camera: PhysarumCameraSpec
    steps: tuple[int, ...]
    seconds: tuple[float, ...]


class Table(NamedTuple):
    """Simulated networks: what was put in and what was measured."""

    parameters: Float[np.ndarray, "n 2"]
    observables: Float[np.ndarray, "n f"]


class Estimate(NamedTuple):
    """Parameters of networks with their 95 % intervals; the plain regression beside."""

    value: Float[np.ndarray, "n 2"]
    low: Float[np.ndarray, "n 2"]
    high: Float[np.ndarray, "n 2"]
    uncorrected: Float[np.ndarray, "n 2"]


def drawn_parameters(n: int, seed: int, *, inside: float = 0.0) -> Float[np.ndarray, "n 2"]:
    """Points that fill the range evenly (Sobol), a share `inside` of it away from its edges."""
    share = qmc.Sobol(2, rng=np.random.default_rng(seed)).random(n)
    return LOWEST + (inside + (1 - 2 * inside) * share) * (HIGHEST - LOWEST)


def simulated_table(
    parameters: Float[np.ndarray, "n 2"],
    filming: Filming,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Table:
    """A network for each pair of parameters, each with a seed of its own."""
    rows = []
    pairs = list(enumerate(parameters))
    for i, (offset, angle) in progress(pairs, len(pairs), "networks") if progress else pairs:
        spec = replace(filming.spec, sensor_offset_px=float(offset), sensor_angle_deg=float(angle))
        rows.append(network_observables(pictures(spec, filming, seed=seed + i)))
    return Table(parameters, np.stack(rows))


def pictures(spec: PhysarumSpec, filming: Filming, *, seed: int) -> list[Float[np.ndarray, "y x"]]:
    """The trail as the camera reads it, at the steps that are measured."""
    state, shown = initial_state(spec, [seed]), []
    for number, (n, seconds) in enumerate(zip(filming.steps, filming.seconds, strict=True)):
        state = advanced(state, spec, n - state.n_steps)
        counts = physarum_counts(state, 0, spec, filming.camera, seconds)
        rng = np.random.default_rng((seed, number))
        shown.append(expose(counts, filming.camera, rng).frame[0].astype(np.float64))
    return shown


def network_observables(frames: Sequence[Float[np.ndarray, "y x"]]) -> Float[np.ndarray, " f"]:
    """What a network looks like, averaged over some frames; blind to gain and offset of a camera.

    Logarithms of skeleton length, nodes, loops and ends, of both lengths of structure, and of the
    shares of power in bands of wavenumber; lengths in pixels.
    """
    return np.mean([_observables(frame) for frame in frames], axis=0)


def _observables(frame: Float[np.ndarray, "y x"]) -> Float[np.ndarray, " f"]:
    network = find_network(frame, pixel_um=1)
    structure = structure_factor(frame, pixel_um=1, periodic=True)
    rings = np.geomspace(1, len(structure.power) + 1, N_BANDS + 1).astype(int) - 1
    shares = np.add.reduceat(structure.power, rings[:-1]) / structure.power.sum()
    found = [network.n_nodes, network.n_loops, network.n_ends]
    lengths = [structure.mean_length_um, correlation_length(frame, pixel_um=1, periodic=True)]
    return np.array(
        [
            np.log(max(network.length_um, 1.0)),
            *np.log1p(np.maximum(found, 0)),
            *np.log(np.nan_to_num(lengths, nan=1.0)),
            *np.log(shares + 1e-12),
        ]
    )


def estimate(table: Table, observables: Float[np.ndarray, "m f"]) -> Estimate:
    """Parameters of the networks that were measured, from the table of simulated ones."""
    columns = []
    for p in range(table.parameters.shape[1]):
        true = table.parameters[:, p]
        folds = KFold(10, shuffle=True, random_state=0)
        held_out = cross_val_predict(_regression(), table.observables, true, cv=folds)
        fitted = _regression().fit(table.observables, true).predict(observables)
        alike = np.argsort(np.abs(held_out - fitted[:, None]), axis=1)[:, :N_ALIKE]
        errors = (true - held_out)[alike]
        low, middle, high = np.quantile(errors, (0.025, 0.5, 0.975), axis=1)
        columns.append(np.stack([fitted + middle, fitted + low, fitted + high, fitted], axis=1))
    return Estimate(*np.stack(columns, axis=2).transpose(1, 0, 2))


def _regression() -> Pipeline:
    """A quadratic surface with a penalty chosen by cross-validation."""
    return make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        RidgeCV(alphas=np.geomspace(1e-3, 1e3, 13)),
    )
