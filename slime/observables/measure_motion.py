"""The network of every frame and the flow of a few of one channel, as series and as rows."""

import numpy as np
from jaxtyping import Float

from slime.errors import SlimeError
from slime.observables.flow import optical_flow
from slime.observables.network import find_network
from slime.observables.reading import Field
from slime.observables.table import Row, mean_row, single_row, spread_row
from slime.progress import Progress

N_PAIRS = 16  # of neighbouring frames, evenly spaced, between which the flow is taken
NETWORK = ("network_length", "network_nodes", "network_loops")
FLOW = ("flow_speed", "divergence_in_mounds")


def measure_motion(
    seen: Float[np.ndarray, "t y x"], threshold: float, field: Field, progress: Progress | None
) -> tuple[dict[str, Float[np.ndarray, " t"]], list[Row]]:
    """Series and rows of the smoothed frames; NaN with the reason where scikit-image is missing."""
    try:
        series = _networks(seen, threshold, field, progress)
        return series, [*_network_rows(series, field, threshold), *_flow(seen, threshold, field)]
    except SlimeError as error:
        return {}, [single_row(name, np.nan, "", 0, str(error)) for name in (*NETWORK, *FLOW)]


def _networks(
    seen: Float[np.ndarray, "t y x"], threshold: float, field: Field, progress: Progress | None
) -> dict[str, Float[np.ndarray, " t"]]:
    series = {name: np.full(len(seen), np.nan) for name in NETWORK}
    if not np.isfinite(threshold):
        return series
    steps = range(len(seen))
    for t in progress(steps, len(seen), "networks") if progress else steps:
        found = find_network(seen[t], pixel_um=field.units.pixel_um, threshold=threshold)
        for name, value in zip(
            NETWORK, (found.length_um, found.n_nodes, found.n_loops), strict=True
        ):
            series[name][t] = value
    return series


def _network_rows(
    series: dict[str, Float[np.ndarray, " t"]], field: Field, threshold: float
) -> list[Row]:
    units = (field.units.length, "1", "1")
    note = f"skeleton above {threshold:.5g}; the last frame is in series.csv"
    return [
        mean_row(name, series[name], unit, note) for name, unit in zip(NETWORK, units, strict=True)
    ]


def _flow(seen: Float[np.ndarray, "t y x"], threshold: float, field: Field) -> list[Row]:
    """Rows of the flow between a few neighbouring frames."""
    units, n = field.units, len(seen)
    first = np.unique(np.linspace(0, max(n - 2, 0), N_PAIRS).round().astype(int)) if n > 1 else []
    speeds, divergence = [], []
    for t in first:
        flow = optical_flow(
            seen[t],
            seen[t + 1],
            frame_interval_s=units.frame_interval_s,
            pixel_um=units.pixel_um,
        )
        speeds.append(flow.speed_um_per_s)
        inside = flow.divergence_per_s[seen[t] > threshold]
        divergence.append(inside[np.isfinite(inside)])
    pace, how = f"{units.length}/{units.time}", f"Lucas-Kanade, {len(speeds)} pairs of frames"
    none = np.zeros(0)
    return [
        spread_row("flow_speed", np.stack(speeds) if speeds else none, pace, "pixels", how),
        spread_row(
            "divergence_in_mounds",
            np.concatenate(divergence) if divergence else none,
            f"1/{units.time}",
            "pixels above the threshold",
            f"below 0 where things gather; {how}",
        ),
    ]
