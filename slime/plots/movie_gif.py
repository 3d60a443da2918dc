"""A movie as an animation: its channels side by side, the time above, a scale bar below."""

from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Num, UInt8
from matplotlib.colors import Normalize
from PIL import Image, ImageDraw, ImageFont

from slime.files import write_aside
from slime.plots.gif import FOOT, HEAD, MARGIN, encoded, resized
from slime.plots.pictures import gray_limits, round_length
from slime.plots.style import short_name
from slime.texts import duration_text

LEVELS = 32  # of gray: more of them cost bytes, and show noise
HEIGHT = 256
SHRINKS = (1.0, 0.75, 0.5, 0.35, 0.25)


def movie_gif(
    path: Path,
    movie: xr.DataArray,
    *,
    most_frames: int = 45,
    frames_per_second: float = 10.0,
    max_bytes: int = 1_000_000,
) -> Path:
    """Write evenly spaced frames, each channel on one scale of gray, smaller where it must be.

    Only these frames are read. Time and length are in frames and pixels where the movie has no
    units. The file is written aside and renamed.
    """
    n = movie.sizes["time"]
    picked = np.arange(0, n, -(-n // most_frames))
    frames = movie.isel(time=picked).to_numpy()
    grays = [Normalize(*gray_limits(frames[:, c])) for c in range(frames.shape[1])]
    written = b""
    for shrink in SHRINKS:
        drawn = [
            _drawn(movie, frame, int(t), grays, shrink)
            for t, frame in zip(picked, frames, strict=True)
        ]
        written = encoded(drawn, frames_per_second)
        if len(written) <= max_bytes:
            break
    write_aside(Path(path), lambda aside: aside.write_bytes(written))
    return Path(path)


def _drawn(
    movie: xr.DataArray,
    frame: Num[np.ndarray, "c y x"],
    index: int,
    grays: list[Normalize],
    shrink: float,
) -> Image.Image:
    n_c, n_y, n_x = frame.shape
    scale = HEIGHT / n_y * shrink
    scale = max(1, round(scale)) if scale >= 1 else scale
    height, width = max(1, round(n_y * scale)), max(1, round(n_x * scale))
    step = max(width, 120) + MARGIN
    canvas = Image.new("L", (n_c * step + MARGIN, height + HEAD + FOOT), 255)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    names = [str(c) for c in movie["channel"].values] if "channel" in movie.coords else []
    for c in range(n_c):
        name = short_name(names[c], 14) if n_c > 1 and names else ""
        draw.text((MARGIN + c * step, 2), name, fill=0, font=font)
    stamp = _time_text(movie, index)
    right = canvas.width - MARGIN - draw.textlength(stamp, font=font)
    draw.text((right, 2), stamp, fill=0, font=font)
    bar, text = _bar(n_x, movie.attrs.get("pixel_um"))
    foot = height + HEAD + 11
    draw.rectangle((MARGIN, foot - 2, MARGIN + round(bar * scale) - 1, foot + 1), fill=0)
    draw.text((MARGIN + round(bar * scale) + 6, foot - 8), text, fill=0, font=font)
    pixels = np.asarray(canvas).copy()
    for c in range(n_c):
        left = MARGIN + c * step
        panel = resized(frame[c].astype(float), (height, width))
        pixels[HEAD : HEAD + height, left : left + width] = _grays(panel, grays[c])
    image = Image.fromarray((pixels.astype(int) * (LEVELS - 1) // 255).astype(np.uint8), mode="P")
    image.putpalette(np.repeat(np.linspace(0, 255, LEVELS).round().astype(int), 3).tolist())
    return image


def _grays(panel: Num[np.ndarray, "y x"], norm: Normalize) -> UInt8[np.ndarray, "y x"]:
    share = np.clip(np.asarray(norm(np.nan_to_num(panel))), 0, 1)
    return np.rint(255 * share).astype(np.uint8)


def _time_text(movie: xr.DataArray, index: int) -> str:
    interval = movie.attrs.get("frame_interval_s")
    return duration_text(index * interval) if interval else f"frame {index}"


def _bar(n_x: int, pixel_um: float | None) -> tuple[float, str]:
    """The length of the scale bar in pixels, and what it says."""
    length = round_length(n_x * (pixel_um or 1.0) / 3)
    unit = "µm" if pixel_um else "px"
    text = f"{length:g} {unit}" if unit == "px" or length < 1000 else f"{length / 1000:g} mm"
    return length / (pixel_um or 1.0), text
