"""TIFF: ImageJ hyperstacks, OME-TIFF and plain pages, read page by page through tifffile."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from slime.axes import AXIS_OF, Axis, axis_words, named_axes
from slime.errors import SlimeError, StoreError
from slime.ingest.source import Facts, RawArray, Source
from slime.ingest.units import micrometres, seconds, square_pixel_um

UNNAMED = "IQ"  # tifffile's letters for an axis of pages that the file does not name
ENDINGS = (".tif", ".tiff", ".btf", ".tf8", ".lsm", ".stk")
# what tifffile only logs, and then reads less than there was
DAMAGE = ("invalid page offset", "corrupt", "truncated", "missing data", "raised")


def tiff_source(
    path: Path, *, axes: str | None, movie: int | None, pixel_um: float | None
) -> Source:
    """One TIFF file, or the OME-TIFF set that it belongs to.

    Raises:
        SlimeError: a damaged file, several series of which none is chosen, or axes that are not a
            movie's.
    """
    with _opened(path) as tif:
        n_series = len(tif.series)
        if n_series > 1 and movie is None:
            shapes = ", ".join(f"{i}: {s.axes} {s.shape}" for i, s in enumerate(tif.series[:4]))
            raise SlimeError(f"{path.name} holds {n_series} series ({shapes}): choose movie=0")
        if not 0 <= (movie or 0) < n_series:
            raise SlimeError(f"movie={movie}: {path.name} holds series 0 to {n_series - 1}")
        series = tif.series[movie or 0]
        _check_whole(tif, series, path)
        array = open_series(path, movie or 0, ExitStack())
        names = _axes(series.axes, array.shape, axes, path.name)
        files = sorted({Path(_file_of(page, path)) for page in _some_pages(series)} | {path})
        return Source(
            label=path.name.removesuffix(path.suffix).removesuffix(".ome"),
            kind={"imagej": "TIFF (ImageJ)", "ome": "OME-TIFF"}.get(series.kind, "TIFF"),
            files=files,
            axes=names,
            shape=array.shape,
            dtype=np.dtype(array.dtype).newbyteorder("="),
            opener=partial(open_series, path, movie or 0),
            facts=_facts(tif, movie or 0, path.name, pixel_um),
        )


def open_series(path: Path, number: int, stack: ExitStack) -> RawArray:
    """A series as a zarr array over the file's own pages."""
    tif = stack.enter_context(_opened(path))
    store = tif.series[number].aszarr()
    stack.callback(store.close)
    array: Any = zarr.open(store, mode="r")
    if isinstance(array, zarr.Group):  # a pyramid: the first level is the whole picture
        array = array["0"]
    return array


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, refused where tifffile would log damage and go on with less."""
    told: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        tif = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, ValueError, OSError) as error:
        raise StoreError(
            f"{path.name!r} is no readable TIFF ({error}): put back a whole file"
        ) from error
    finally:
        logger.removeHandler(listener)
    with tif:
        logger.addHandler(listener)
        try:
            _ = tif.series
        except Exception as error:
            raise StoreError(
                f"{path.name!r} is a damaged TIFF ({error}): put back a whole file"
            ) from error
        finally:
            logger.removeHandler(listener)
        for line in told:
            if any(word in line for word in DAMAGE):
                raise StoreError(f"{path.name!r} is a damaged TIFF ({line}): put back a whole file")
        yield tif


def _check_whole(tif: tifffile.TiffFile, series: Any, path: Path) -> None:
    """Refuse a series that goes on beyond the end of its file."""
    if series.dataoffset is not None and not getattr(series, "is_multifile", False):
        end = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize
        if end > tif.filehandle.size:
            raise StoreError(
                f"{path.name!r} is cut short: its pages need {end} bytes and it has "
                f"{tif.filehandle.size}: put back a whole file"
            )


def _some_pages(series: Any) -> list[Any]:
    """The pages of an OME series of several files; else the first one."""
    if getattr(series, "is_multifile", False):
        return [page for page in series.pages if page is not None]
    return []


def _file_of(page: Any, path: Path) -> str:
    return str(path.parent / page.parent.filehandle.name)


def _axes(letters: str, shape: Sequence[int], given: str | None, label: str) -> tuple[Axis, ...]:
    """The meaning of tifffile's axis letters; pages without a name are time."""
    if given is not None:
        words = axis_words(given)
        if any(AXIS_OF.get(w.lower()) == "time" for w in words) or len(words) != len(shape):
            return named_axes(words, shape, label)
        return named_axes([*words, "time"], [*shape, 1], label)[:-1]  # one time of several files
    words: list[str] = []
    for letter in letters:
        if letter in UNNAMED:
            words.append("time" if "T" not in letters and "time" not in words else letter)
        elif letter == "S":  # samples: red, green, blue
            words.append("channel" if "C" not in letters else letter)
        else:
            words.append(letter)
    if {"time", "T"} & set(words):
        return named_axes(words, shape, label)
    return tuple(AXIS_OF[w.lower()] for w in words if w.lower() in AXIS_OF)


def has_unnamed_pages(path: Path) -> bool:
    """Whether the file does not say what its pages are."""
    with _opened(path) as tif:
        return any(letter in UNNAMED for letter in tif.series[0].axes)


def _facts(tif: tifffile.TiffFile, number: int, label: str, pixel_um: float | None) -> Facts:
    if tif.ome_metadata:
        return _ome_facts(tif.ome_metadata, number, label, pixel_um)
    if tif.imagej_metadata:
        return _imagej_facts(tif, tif.imagej_metadata, label, pixel_um)
    return Facts()


def _imagej_facts(tif: Any, said: dict[str, Any], label: str, pixel_um: float | None) -> Facts:
    sides = []
    for name in ("XResolution", "YResolution"):
        tag = tif.pages[0].tags.get(name)
        pixels, per = tag.value if tag is not None else (0, 1)
        length = per / pixels if pixels else None
        sides.append(micrometres(length, said["unit"]) if "unit" in said else None)
    return Facts(
        frame_interval_s=seconds(said.get("finterval"), said.get("tunit", "s")),
        pixel_um=square_pixel_um(sides[0], sides[1], label) if pixel_um is None else None,
    )


def _ome_facts(xml: str, number: int, label: str, pixel_um: float | None) -> Facts:
    """Units, channel names and times of planes from OME-XML (2016-06)."""
    images = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
    pixels = images[number] if number < len(images) else images[0]
    sides = [
        micrometres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm"))
        for a in "XY"
    ]
    names = [c.get("Name", "") for c in pixels.findall("{*}Channel")]
    times = {
        int(plane.get("TheT", 0)): (plane.get("DeltaT"), plane.get("DeltaTUnit", "s"))
        for plane in pixels.findall("{*}Plane")
        if plane.get("TheC", "0") == "0" and plane.get("TheZ", "0") == "0"
    }
    told = [times.get(t, (None, "s")) for t in range(int(pixels.get("SizeT", 0)))]
    times_s = [_time(*one) for one in told]
    known = len(times_s) > 1 and not any(t is None for t in times_s)
    return Facts(
        frame_interval_s=seconds(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s")),
        pixel_um=square_pixel_um(sides[0], sides[1], label) if pixel_um is None else None,
        times_s=np.array(times_s, float) if known else None,
        channels=names if all(names) and len(set(names)) == len(names) else (),
    )


def _time(value: str | None, unit: str) -> float | None:
    """The time of a plane; 0 is one too."""
    return 0.0 if value is not None and float(value) == 0 else seconds(value, unit)
