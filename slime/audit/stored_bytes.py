"""Values that no camera gives: pixels read in the wrong byte order, sign or kind of number."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Shaped

from slime.audit.findings import Finding

ROUGH = 0.15  # of what white noise has (1); pixels out of order are nearly as rough
SMOOTHER = 0.3  # times as rough, the other reading must be
SIZES = (1e-30, 1e30)  # of values in any unit that pictures are stored in


def byte_findings(raw: Iterable[Shaped[np.ndarray, "c h w"]], stored: np.dtype) -> list[Finding]:
    """Suspicions that the metadata name another type than the pixels were written in.

    Args:
        raw: the middles of a few frames, as read.
        stored: the declared type.
    """
    frames = [f for f in raw if f.shape[1] > 2 and f.shape[2] > 2]
    if not frames:
        return []
    pixels = np.stack(frames)
    if pixels.dtype.kind == "f":
        size = np.abs(pixels[np.isfinite(pixels) & (pixels != 0)].astype(np.float64))
        odd = np.mean((size < SIZES[0]) | (size > SIZES[1])) if size.size else 0
        if odd > 0.01:
            return [_finding(stored, f"{100 * odd:.2g} % of the values are beyond 1e-30 to 1e30")]
        least = float(np.finfo(pixels.dtype).tiny)
        if size.size and np.mean(size < least) > 0.5:  # what small whole numbers read as
            return [_finding(stored, f"most values are below {least:.2g}, where digits are lost")]
    for name, other, least in _readings(pixels):
        if _is_better(pixels, other, least):
            return [_finding(stored, f"pixels are smooth when read as {name}, noise as declared")]
    return []


def _finding(stored: np.dtype, seen: str) -> Finding:
    advice = (
        f"suspicion: {seen}; the metadata say {stored} ({_order(stored)}), which may not be what "
        "was written: compare dtype and endian with the program that wrote the store"
    )
    return Finding("odd values", (), "warning", advice)


def _order(dtype: np.dtype) -> str:
    return (
        "one byte"
        if dtype.itemsize == 1
        else "big endian"
        if dtype.str[0] == ">"
        else "little endian"
    )


def _readings(pixels: np.ndarray) -> Iterable[tuple[str, np.ndarray, float]]:
    """The same bytes in other readings, and how rough pixels must be for each to be tried."""
    if pixels.dtype.itemsize > 1:
        swapped = pixels.byteswap()
        yield "the other byte order", swapped, ROUGH
        if pixels.dtype.kind in "ui":
            kind = "i" if pixels.dtype.kind == "u" else "u"
            other = swapped.view(f"{kind}{pixels.dtype.itemsize}")
            yield "the other byte order and sign", other, ROUGH
    if pixels.dtype.kind in "ui":
        kind = "i" if pixels.dtype.kind == "u" else "u"
        # a sign shifts all values alike, unless it tears those beside its edge apart
        yield "numbers of the other sign", pixels.view(f"{kind}{pixels.dtype.itemsize}"), 0.0


def _is_better(pixels: np.ndarray, other: np.ndarray, least: float) -> bool:
    rough = roughness(pixels)
    if not rough >= least:
        return False
    if other.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # any bytes, so also NaN that signal
            size = np.abs(other.astype(np.float64, copy=False))
        if not np.isfinite(size).all() or (size > SIZES[1]).any():
            return False
    return roughness(other) <= SMOOTHER * rough


def roughness(pixels: Shaped[np.ndarray, "*any h w"]) -> float:
    """Mean square step between neighbours along x over twice the variance: 1 for white noise.

    The outermost hundredths are held at their edges: a few odd pixels do not count.
    """
    values = pixels.astype(np.float64)
    if np.isfinite(values).all():
        values = np.clip(values, *np.percentile(values, [1, 99]))
    with np.errstate(over="ignore", invalid="ignore"):
        variance = values.var(axis=(-2, -1)).mean()
        step = (np.diff(values, axis=-1) ** 2).mean()
    return float(step / (2 * variance)) if np.isfinite(step) and variance > 0 else np.nan
