"""What corrections need to know of the whole movie: flat field, decay, shifts of the stage."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage, optimize

from slime.errors import SlimeError, StoreError
from slime.ingest.corrections import Corrections, common_window
from slime.ingest.extra import needed
from slime.ingest.frames import Cut, channel_number
from slime.ingest.given import given_picture
from slime.ingest.source import Reader
from slime.ingest.spec import IngestSpec, checked_dtype
from slime.progress import Progress
from slime.schedule import compute_blocks

PASS_FRAMES = 32  # a block of a pass; the same whatever the memory, so that sums come out the same


@dataclass(frozen=True)
class Pass:
    """What a pass over the source needs."""

    reader: Reader
    cut: Cut
    executor: Executor
    n_at_once: int
    progress: Progress | None = None

    def over(self, work: Callable[..., Any], *given: Any, label: str) -> Iterator[Any]:
        """What `work(reader, cut, start, stop, *given)` gives of each block, in order."""
        n_frames = len(self.cut.frames)
        tasks = [
            partial(work, self.reader, self.cut, a, min(a + PASS_FRAMES, n_frames), *given)
            for a in range(0, n_frames, PASS_FRAMES)
        ]
        results = compute_blocks(tasks, self.executor, n_at_once=self.n_at_once)
        yield from self.progress(results, len(tasks), label) if self.progress else results


def chosen_corrections(one: Pass, spec: IngestSpec) -> tuple[Corrections, dict[str, Any]]:
    """The corrections that the spec asks for, and what is to be written down of them."""
    done = Corrections(dtype=None if spec.dtype is None else checked_dtype(spec.dtype))
    told: dict[str, Any] = {}
    if spec.dark is not None:
        dark = _dark(spec.dark, one.cut)
        done = replace(done, dark=dark)
        told["dark"] = {"from": spec.dark, "mean": float(dark.mean())}
    if spec.flat is not None:
        flat, how = _flat(one, done, spec)
        mean = flat.mean(axis=(1, 2), keepdims=True)
        done = replace(done, gain=(mean / flat).astype(np.float32))
        told["flat"] = {**how, "mean": mean.ravel().tolist()}
    if spec.bleach != "none":
        factors, how = _bleach(one, done, spec.bleach)
        done = replace(done, bleach=factors)
        told["bleach"] = how
    if spec.registration != "none":
        shifts, how = _registration(one, done, spec)
        window = common_window(shifts, *one.cut.shape[2:])
        done = replace(done, shifts=shifts, window=window)
        told["registration"] = {**how, "kept_y": _ends(window[0]), "kept_x": _ends(window[1])}
    return done, told


def _ends(part: slice) -> list[int]:
    return [part.start, part.stop]


def _dark(words: str, cut: Cut) -> Float[np.ndarray, "#c #y #x"]:
    try:
        return np.full((1, 1, 1), float(words), np.float32)
    except ValueError:
        return given_picture(words, cut, "dark")


def _flat(one: Pass, done: Corrections, spec: IngestSpec) -> tuple[Any, dict[str, Any]]:
    """The flat field without the dark frame, for each channel, and what it was made of."""
    if spec.flat != "estimate":
        flat = given_picture(str(spec.flat), one.cut, "flat")
        flat = flat if done.dark is None else flat - done.dark
        how: dict[str, Any] = {"from": spec.flat}
    else:
        _, _, height, width = one.cut.shape
        sigma = spec.flat_sigma_px or min(height, width) / 8
        total = np.zeros(one.cut.shape[1:])
        for part in one.over(_block_sum, done, label="estimating the flat field"):
            total += part
        mean = total / len(one.cut.frames)
        flat = np.stack([ndimage.gaussian_filter(c, sigma, mode="nearest") for c in mean])
        how = {"from": "the mean of all frames, blurred", "sigma_px": sigma}
    flat = np.broadcast_to(flat, one.cut.shape[1:]).astype(np.float64)
    if not (flat > 0).all():
        n_bad = int((~(flat > 0)).sum())
        raise SlimeError(
            f"flat={spec.flat}: {n_bad} pixels of it are 0 or less (less the dark frame): nothing "
            "can be divided by them"
        )
    return flat, how


def _block_sum(reader: Reader, cut: Cut, start: int, stop: int, done: Corrections) -> Any:
    frames = _read(reader, cut, start, stop)
    total = done.applied(frames, start).sum(axis=0, dtype=np.float64)
    if not np.isfinite(total).all():
        raise _not_finite(cut, start, stop, "a flat field cannot be estimated")
    return total


def _bleach(one: Pass, done: Corrections, method: str) -> tuple[Any, dict[str, Any]]:
    """The factor of each frame and channel, and the fits."""
    means = np.concatenate(list(one.over(_block_means, done, label="measuring bleaching")))
    if not (means > 0).all():
        at = int(np.flatnonzero(~(means > 0).all(axis=1))[0])
        raise SlimeError(
            f"bleach={method}: the mean of frame {at} is {means[at].min():g}; it must be above 0: "
            "leave out blank frames, or give the right dark frame"
        )
    if method == "ratio":
        return means[0] / means, {"method": "ratio"}
    fits = [_decay(means[:, c], name) for c, name in enumerate(one.cut.names)]
    frames = np.arange(len(means))
    factors = np.stack([np.exp(rate * frames) for _, rate in fits], axis=1)
    return factors, {
        "method": "exponential, fitted over all frames",
        "start": [start for start, _ in fits],
        "rate_per_frame": [rate for _, rate in fits],
    }


def _decay(means: Float[np.ndarray, " t"], name: str) -> tuple[float, float]:
    """Start and rate of `start * exp(-rate * frame)`, by least squares.

    Raises:
        SlimeError: fewer than three frames, or the light does not decay.
    """
    if len(means) < 3:
        raise SlimeError(f"bleach=exponential needs at least 3 frames, not {len(means)}")
    frames = np.arange(len(means), dtype=float)
    slope, level = np.polyfit(frames, np.log(means), 1)
    guess = (float(np.exp(level)), float(-slope))
    (start, rate), _ = optimize.curve_fit(lambda t, a, k: a * np.exp(-k * t), frames, means, guess)
    if not rate > 0:
        raise SlimeError(
            f"bleach=exponential: channel {name!r} does not get darker (rate {rate:g} a frame): "
            "leave it out, or choose bleach=ratio"
        )
    return float(start), float(rate)


def _block_means(reader: Reader, cut: Cut, start: int, stop: int, done: Corrections) -> Any:
    frames = _read(reader, cut, start, stop)
    means = done.applied(frames, start).mean(axis=(2, 3), dtype=np.float64)
    if not np.isfinite(means).all():
        raise _not_finite(cut, start, stop, "bleaching cannot be measured")
    return means


def _registration(one: Pass, done: Corrections, spec: IngestSpec) -> tuple[Any, dict[str, Any]]:
    """Pixels by which each frame is moved, by correlation through Fourier transforms.

    The peak is found to a part of a pixel as by Guizar-Sicairos, Thurman & Fienup 2008
    (doi 10.1364/OL.33.000156).
    """
    needed("skimage", "registration", "scikit-image")
    word = spec.registration_channel
    label = one.cut.source.label
    channel = (
        0 if word is None else channel_number(word, one.cut.names, "registration_channel", label)
    )
    to_first = spec.registration == "first"
    first = None
    if to_first:
        first = done.applied(_read(one.reader, one.cut, 0, 1), 0)[0, channel]
    given = (done, channel, first, spec.registration_upsample, spec.registration_method)
    shifts = np.concatenate(list(one.over(_block_shifts, *given, label="measuring shifts")))
    shifts = shifts if to_first else np.cumsum(shifts, axis=0)
    return shifts, {
        "method": spec.registration_method,
        "onto": "the first frame" if to_first else "the frame before, summed up",
        "upsample": spec.registration_upsample,
        "channel": one.cut.names[channel],
    }


def _block_shifts(
    reader: Reader,
    cut: Cut,
    start: int,
    stop: int,
    done: Corrections,
    channel: int,
    first: Shaped[np.ndarray, "y x"] | None,
    upsample: int,
    method: str,
) -> Float[np.ndarray, "t 2"]:
    from skimage.registration import phase_cross_correlation

    whiten: Any = "phase" if method == "phase" else None
    begin = max(start - 1, 0) if first is None else start
    frames = done.applied(_read(reader, cut, begin, stop), begin)[:, channel]
    if not np.isfinite(frames).all():
        raise _not_finite(cut, begin, stop, "shifts cannot be measured")
    shifts = []
    for t in range(start, stop):
        frame = frames[t - begin]
        onto = first if first is not None else frames[max(t - 1, 0) - begin]
        if frame.min() == frame.max():
            raise StoreError(
                f"{cut.source.label}: frame {cut.frames[t]} has one value all over, so its shift "
                "cannot be measured: leave it out with frames="
            )
        found, *_ = phase_cross_correlation(
            onto, frame, upsample_factor=upsample, normalization=whiten
        )
        shifts.append(found)
    return np.array(shifts, float).reshape(-1, 2)


def _read(reader: Reader, cut: Cut, start: int, stop: int) -> Any:
    try:
        return cut.read(reader.array, start, stop)
    finally:
        reader.block_done()


def _not_finite(cut: Cut, start: int, stop: int, what: str) -> StoreError:
    first, last = cut.frames[start], cut.frames[stop - 1]
    return StoreError(
        f"{cut.source.label}: frames {first} to {last} hold NaN or infinite pixels, so {what}: "
        "leave them out with frames="
    )
