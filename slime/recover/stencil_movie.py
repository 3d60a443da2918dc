"""Diffusion in a stored movie: a learned stencil beside the propagator, and rows for a table."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from slime.errors import SlimeError
from slime.observables.reading import Units, read_field
from slime.observables.table import Row, single_row
from slime.progress import Progress
from slime.recover.diffusion import Diffused, fit_diffusion
from slime.recover.rates_movie import channel_list
from slime.recover.stencil import Learned, euler_power, learn_stencil, propagator

LEAST_FRAMES = 8
MOST_DECAY = 0.1  # between frames, of a field that is fed: its source is known at frames alone
FOG = 0.5  # half width of the interval over the diffusion from which on it counts as unknown


class StencilChoices(NamedTuple):
    """What the user may choose of how a stencil is learned."""

    k: int = 5
    n_steps: int = 0
    fed_by: tuple[str, ...] = ()


class OfStencil(NamedTuple):
    """What came of a movie: the learned stencil, that of the fitted diffusion, and rows."""

    learned: Learned
    expected: Float[np.ndarray, "k k"]
    rows: list[Row]


def stencil_of_movie(
    movie: xr.DataArray,
    choices: StencilChoices,
    *,
    memory_budget: int,
    progress: Progress | None = None,
) -> OfStencil:
    """Diffusion and decay of a channel, and the stencil that carries a frame to the next.

    Raises:
        SlimeError: no or several channels that could be meant, too few frames, or masked pixels.
    """
    names = channel_list(movie)
    fed_by = [_number(names, one, str(movie.name)) for one in choices.fed_by]
    channel = _diffusing(names, fed_by, str(movie.name))
    fields = [
        read_field(movie, c, bin_px=1, memory_budget=memory_budget // 4, progress=progress)
        for c in (channel, *fed_by)
    ]
    frames = fields[0].frames
    _check(frames, choices.k, str(movie.name))
    sources = np.stack([one.frames for one in fields[1:]]) if fed_by else None
    fitted, plain = (
        fit_diffusion(frames, sources=sources, n_steps=choices.n_steps, instruments=one)
        for one in (True, False)
    )
    learned = learn_stencil(frames, choices.k, sources=sources, instruments=False)
    diffusion, decay = (float(v) for v in fitted.values[:2])
    expected = expected_stencil(choices.k, diffusion, decay, choices.n_steps)
    apart = float(np.linalg.norm(learned.weights - expected) / np.linalg.norm(expected))
    rows = _rows(fitted, plain, fields[0].units, len(frames), fed=bool(fed_by))
    note = (
        f"{choices.k} x {choices.k} by least squares, its distance from the propagator's, relative"
    )
    return OfStencil(
        learned, expected, [*rows, single_row("stencil_apart", apart, "1", len(frames), note)]
    )


def expected_stencil(
    k: int, diffusion: float, decay: float, n_steps: int
) -> Float[np.ndarray, "k k"]:
    """The stencil of a diffusion in pixels squared a frame, by its steps or by nature."""
    if n_steps:
        return euler_power(k, n_steps, spread=diffusion / n_steps, decay=decay / n_steps)
    return propagator(k, diffusion=diffusion, decay=decay)


def _rows(fitted: Diffused, plain: Diffused, units: Units, n: int, *, fed: bool) -> list[Row]:
    """Diffusion and decay in the movie's units, corrected and by least squares."""
    squared = units.pixel_um**2 / units.frame_interval_s
    names = (
        ("diffusion", squared, f"{units.length}2/{units.time}"),
        ("decay", 1 / units.frame_interval_s, f"1/{units.time}"),
    )
    diffusion, (low, high) = fitted.values[0], fitted.interval(0)
    why = ""
    if not fitted.settled:
        why = "the frames do not go through a diffusion: the fit did not settle"
    elif not high - low < 2 * FOG * diffusion:
        why = "too little structure above the noise to tell the diffusion"
    elif fed and fitted.values[1] > MOST_DECAY:
        why = (
            f"a fed field decays by {fitted.values[1]:.2g} between frames: what feeds it is then "
            f"not known in between; frames {MOST_DECAY / fitted.values[1]:.2g} times as far apart "
            "would do"
        )
    said = f"95 % interval over {fitted.n_blocks} blocks of time and space; noise corrected"
    rows = []
    for i, (name, scale, unit) in enumerate(names):
        ends = (np.nan, np.nan, np.nan) if why else (fitted.values[i], *fitted.interval(i))
        value, bottom, top = (float(end * scale) for end in ends)
        rows.append(Row(name, value, bottom, top, unit, n, why or said))
    for i, (name, scale, unit) in enumerate(names):
        note = "least squares, biased by noise"
        rows.append(
            single_row(f"{name}_uncorrected", float(plain.values[i] * scale), unit, n, note)
        )
    return rows


def _number(names: list[str], wanted: str, label: str) -> int:
    if wanted not in names:
        raise SlimeError(f"fed_by={wanted}: {label} has channels {', '.join(names)}")
    return names.index(wanted)


def _diffusing(names: list[str], fed_by: list[int], label: str) -> int:
    """The channel g, or the only one that feeds no other."""
    if "g" in names:
        return names.index("g")
    rest = [i for i in range(len(names)) if i not in fed_by]
    if len(rest) != 1:
        raise SlimeError(
            f"{label} has channels {', '.join(names)}: pick the one that diffuses, channels=NAME"
        )
    return rest[0]


def _check(frames: Float[np.ndarray, "t y x"], k: int, label: str) -> None:
    n, height, width = frames.shape
    if n < LEAST_FRAMES or min(height, width) < 2 * k:
        raise SlimeError(
            f"{label} has {n} frames of {height} x {width}: a stencil of {k} needs {LEAST_FRAMES} "
            f"frames of {2 * k} x {2 * k} at least"
        )
    if not np.isfinite(frames).all():
        raise SlimeError(f"{label} has pixels that do not count: stencils need whole frames")
    if frames.min() == frames.max():
        raise SlimeError(f"{label} is {frames.min():g} everywhere: nothing diffuses")
