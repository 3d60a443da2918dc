"""A rollout as an animation: truth, forecast and error side by side, written with Pillow alone."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.colors import Normalize
from PIL import Image, ImageDraw, ImageFont

from slime.errors import SlimeError
from slime.example import Example
from slime.files import write_aside
from slime.plots.pictures import error_norm, gray_limits
from slime.texts import duration_text, number_text

PANELS = ("truth", "forecast", "error")
GRAYS, ERRORS = 128, 127  # shares of the 256 colours; an odd number, so that 0 is white
UNSEEN = 255  # the colour of pixels without a number
HEIGHT, WIDTH, MARGIN, HEAD, FOOT = 192, 288, 6, 20, 22


def rollout_gif(
    path: Path,
    example: Example,
    channel: int = 0,
    *,
    frames_per_second: float = 4.0,
    max_bytes: int = 1_500_000,
) -> Path:
    """Write a frame a lead, drawn to about 192 pixels high and smaller where the file grows large.

    Scales are those of `forecast_strip`: one of gray from the truth, one symmetric for the error.
    The file is written aside and renamed.
    """
    if not 0 <= channel < len(example.channels):
        raise SlimeError(f"channel {channel} of {len(example.channels)}: count from 0")
    truth, forecast = (v[:, channel].astype(float) for v in (example.truth, example.forecast))
    grays, errors = Normalize(*gray_limits(truth)), error_norm(forecast - truth)
    for shrink in (1.0, 0.75, 0.5, 0.35, 0.25):
        size = _panel_size(truth.shape[1], truth.shape[2], shrink)
        frames = [
            _drawn(example, channel, lead, (grays, errors), size)
            for lead in range(1, example.n_leads + 1)
        ]
        written = encoded(frames, frames_per_second)
        if len(written) <= max_bytes:
            break
    write_aside(Path(path), lambda aside: aside.write_bytes(written))
    return Path(path)


def _panel_size(n_y: int, n_x: int, shrink: float) -> tuple[int, int]:
    """Height and width of a panel: a whole multiple of a small frame, a share of a large one."""
    scale = min(HEIGHT / n_y, WIDTH / n_x) * shrink
    scale = max(1, round(scale)) if scale >= 1 else scale
    return max(1, round(n_y * scale)), max(1, round(n_x * scale))


def _drawn(
    example: Example,
    channel: int,
    lead: int,
    norms: tuple[Normalize, Normalize],
    size: tuple[int, int],
) -> Image.Image:
    truth, forecast = (
        v[lead - 1, channel].astype(float) for v in (example.truth, example.forecast)
    )
    grays, errors = norms
    coloured = [
        _indices(resized(truth, size), grays, 0, GRAYS),
        _indices(resized(forecast, size), grays, 0, GRAYS),
        _indices(resized(forecast - truth, size), errors, GRAYS, ERRORS),
    ]
    height, width = size
    step = max(width, 96) + MARGIN  # narrow panels keep room for their names
    canvas = Image.new("L", (len(PANELS) * step + MARGIN, height + HEAD + FOOT), 255)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    for i, name in enumerate(PANELS):
        draw.text((MARGIN + i * step, 2), name, fill=0, font=font)
    foot = height + HEAD + 3
    after = f" (+{duration_text(lead * example.lead_s)})" if example.lead_s else ""
    draw.text((MARGIN, foot), f"lead {lead}{after}", fill=0, font=font)
    span = f"error scale ±{number_text(float(errors.vmax or 0), 2)}"
    left = canvas.width - MARGIN - draw.textlength(span, font=font)
    draw.text((left, foot), span, fill=0, font=font)
    pixels = (np.asarray(canvas) // 2).astype(np.uint8)
    for i, panel in enumerate(coloured):
        x = MARGIN + i * step
        pixels[HEAD : HEAD + height, x : x + width] = panel
    image = Image.fromarray(pixels, mode="P")
    image.putpalette(_palette())
    return image


def resized(picture: Float[np.ndarray, "y x"], size: tuple[int, int]) -> Float[np.ndarray, "v u"]:
    """Nearest where it grows (pixels stay pixels), box means where it shrinks."""
    height, width = size
    how = Image.Resampling.NEAREST if height >= len(picture) else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture.astype(np.float32)).resize((width, height), how))


def _indices(
    picture: Float[np.ndarray, "y x"], norm: Normalize, first: int, n: int
) -> UInt8[np.ndarray, "y x"]:
    """Palette indices, `n` from `first`; pixels without a number get their own."""
    share = np.clip(np.asarray(norm(np.nan_to_num(picture))), 0, 1)
    index = first + np.rint(share * (n - 1))
    return np.where(np.isfinite(picture), index, UNSEEN).astype(np.uint8)


def _palette() -> list[int]:
    grays = np.repeat(np.linspace(0, 255, GRAYS)[:, None], 3, axis=1)
    errors = colormaps["RdBu_r"](np.linspace(0, 1, ERRORS))[:, :3] * 255
    unseen = np.full((256 - GRAYS - ERRORS, 3), 153.0)
    return np.concatenate([grays, errors, unseen]).round().astype(int).ravel().tolist()


def encoded(frames: list[Image.Image], frames_per_second: float) -> bytes:
    """The pictures as a GIF that begins again; the last one stays four times as long."""
    held = io.BytesIO()
    milliseconds = round(1000 / frames_per_second)
    durations = [milliseconds] * (len(frames) - 1) + [4 * milliseconds]
    frames[0].save(
        held,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        optimize=False,
    )
    return held.getvalue()
