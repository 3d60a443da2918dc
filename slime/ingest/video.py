"""Video through PyAV: a frame is found by its time stamp, from the key frame before it."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from slime.errors import SlimeError, StoreError
from slime.ingest.extra import needed
from slime.ingest.source import Facts, RawArray, Source

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif", ".ogv")
GREY = {"gray": "gray", "gray10le": "gray16le", "gray12le": "gray16le", "gray16le": "gray16le"}


def video_source(path: Path) -> Source:
    """A video; grey ones have one channel, all others red, green and blue.

    How fast it plays is no fact about how it was filmed, so its frame interval stays unknown.

    Raises:
        SlimeError: no PyAV, no video in the file, or frames without time stamps.
    """
    stamps, rate, form, height, width = _index(path)
    deep = "16" in GREY.get(form, form) or any(w in form for w in ("10", "12", "48", "64"))
    is_grey = form in GREY
    notes = [
        f"plays at {rate:g} frames a second, which does not say how it was filmed: give "
        "frame_interval_s"
    ]
    steps = np.diff(stamps)
    if len(steps) and (np.abs(steps - np.median(steps)) > 0.5 * np.median(steps)).any():
        at = int(np.argmax(np.abs(steps - np.median(steps))))
        notes.append(
            f"its frames play unevenly, most from frame {at} to {at + 1}: was one dropped?"
        )
    if not is_grey:
        notes.append("three colours are kept; where they are the same, channels=red keeps one")
    shape = (len(stamps), height, width) if is_grey else (len(stamps), height, width, 3)
    return Source(
        label=path.stem,
        kind=f"video ({form})",
        files=[path],
        axes=("time", "y", "x") if is_grey else ("time", "y", "x", "channel"),
        shape=shape,
        dtype=np.dtype("uint16" if deep else "uint8"),
        opener=partial(_open_video, path, stamps, shape, _pixel_format(form, deep=deep)),
        facts=Facts(
            channels=() if is_grey else ("red", "green", "blue"),
            notes=notes,
            attributes={"playback_fps": rate},
        ),
    )


def _pixel_format(form: str, *, deep: bool) -> str:
    if form in GREY:
        return GREY[form]
    return "rgb48le" if deep else "rgb24"


def _index(path: Path) -> tuple[list[int], float, str, int, int]:
    """Time stamps in the order of showing, frames a second, pixel format, height and width."""
    av = needed("av", path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise StoreError(f"{path.name!r} holds no video")
            stream = container.streams.video[0]
            stamps = [p.pts for p in container.demux(stream) if p.size and not p.is_discard]
            if None in stamps or len(set(stamps)) < len(stamps):
                raise SlimeError(
                    f"{path.name!r} has frames without a time stamp of their own: export it as "
                    "a TIFF stack"
                )
            form = stream.codec_context.pix_fmt
            return (
                sorted(stamps),
                float(stream.average_rate or 0),
                str(form),
                stream.codec_context.height,
                stream.codec_context.width,
            )
    except av.FFmpegError as error:
        raise StoreError(
            f"{path.name!r} is no readable video ({error}): put back a whole file"
        ) from error


def _open_video(
    path: Path, stamps: list[int], shape: tuple[int, ...], form: str, stack: ExitStack
) -> RawArray:
    av = needed("av", path)
    container = stack.enter_context(av.open(str(path)))
    container.streams.video[0].thread_type = "NONE"  # blocks are decoded by threads of their own
    return _Video(container, path.name, stamps, shape, form)


class _Video:
    """Frames of an open video by number."""

    def __init__(
        self, container: Any, label: str, stamps: list[int], shape: tuple[int, ...], form: str
    ):
        self._container, self._label, self._stamps, self._form = container, label, stamps, form
        self.shape, self.dtype = (
            shape,
            np.dtype("uint16" if "16" in form or "48" in form else "uint8"),
        )

    def __getitem__(self, key: Any) -> Shaped[np.ndarray, "..."]:
        """Pixels of a tuple of whole numbers and slices, one an axis."""
        first, *rest = key
        numbers = range(self.shape[0])[first]
        wanted = {self._stamps[i] for i in numbers}
        frames = {}
        for stamp, frame in self._from(min(wanted)):
            if stamp in wanted:
                pixels = frame.to_ndarray(format=self._form)
                frames[stamp] = pixels[tuple(rest)].copy()
            if len(frames) == len(wanted):
                return np.stack([frames[self._stamps[i]] for i in numbers])
        lost = [i for i in numbers if self._stamps[i] not in frames]
        raise StoreError(
            f"{self._label}: frames {lost[0]} to {lost[-1]} cannot be decoded: put back a whole "
            f"file, or take frames=0:{lost[0]}"
        )

    def _from(self, stamp: int) -> Any:
        """Decoded frames with their stamps, from the key frame at or before `stamp`."""
        stream = self._container.streams.video[0]
        for start in (stamp, self._stamps[0]):  # some containers land late: then from the beginning
            self._container.seek(start, stream=stream, backward=True)
            decoded = ((f.pts, f) for f in self._container.decode(stream))
            found = next(decoded, None)
            if found is not None and (found[0] <= stamp or start == self._stamps[0]):
                yield found
                yield from decoded
                return
