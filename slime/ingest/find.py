"""What kind of source the user's words name, and how it is opened."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from slime.axes import axis_words
from slime.chunks import METADATA
from slime.errors import MissingStoreError, SlimeError, nearest
from slime.ingest import hdf5, microscopes, numpy_file, pictures, sequences, tiff, video
from slime.ingest.source import Source
from slime.ingest.spec import IngestSpec
from slime.ingest.stores import store_source
from slime.places import local_path

KNOWN = (
    "TIFF, a folder of TIFF, PNG or JPEG pictures, video (.mp4, .avi, .mov, .mkv), HDF5 (.h5, "
    ".hdf5), .npy, .npz, .nd2, .czi, or a zarr store"
)


def find_source(words: Sequence[str], spec: IngestSpec) -> Source:
    """The movie that the words name: one file, folder or store, or several files of one movie.

    Raises:
        SlimeError: nothing is there, of no known kind, or several that make no one movie.
    """
    if not words:
        raise SlimeError(f"name a source: {KNOWN}")
    place = local_path(words[0])
    if len(words) == 1 and (place is None or _is_store(place)):
        return _store(words[0], spec)
    paths = [_existing(word) for word in words]
    folders = [p for p in paths if p.is_dir()]
    if folders and len(paths) > 1:
        raise SlimeError(f"{str(folders[0])!r} is a folder: name one folder, or files alone")
    if folders:
        files = sequences.folder_files(folders[0], spec.pattern, (*tiff.ENDINGS, *pictures.ENDINGS))
        return _several(files, spec, label=folders[0].resolve().name)
    if spec.pattern is not None:
        raise SlimeError(
            f"pattern={spec.pattern} chooses files of a folder, and {words[0]} is a file"
        )
    if len(paths) > 1:
        return _several(sequences.natural_order(paths), spec, label=paths[0].resolve().parent.name)
    return _one_movie(paths[0], spec)


def _store(word: str, spec: IngestSpec) -> Source:
    return store_source(
        word,
        variable=spec.variable,
        axes=spec.axes,
        z=spec.z,
        movie=spec.movie,
        missing=spec.missing,
        frame_interval_s=spec.frame_interval_s,
        pixel_um=spec.pixel_um,
    )


def _one_movie(path: Path, spec: IngestSpec) -> Source:
    """A file that is to hold a movie of its own."""
    source = _one(path, spec)
    if "time" not in source.axes:
        axes = ",".join(source.axes)
        guess = ",".join(["time", *source.axes[1:]])
        hint = f"; if the first counts frames, give axes={guess}" if len(source.axes) > 2 else ""
        raise SlimeError(
            f"{path.name} is one picture, of axes {axes} {source.shape}: name a stack, several "
            f"pictures or their folder{hint}"
        )
    return source


def _one(path: Path, spec: IngestSpec) -> Source:
    opener = _opener(path, spec)
    return opener(path)


def _opener(path: Path, spec: IngestSpec) -> Callable[[Path], Source]:
    """What opens a file of this ending."""
    ending = path.suffix.lower()
    named = {"variable": spec.variable, "axes": spec.axes, "movie": spec.movie}
    if ending in tiff.ENDINGS:
        return partial(tiff.tiff_source, axes=spec.axes, movie=spec.movie, pixel_um=spec.pixel_um)
    if ending in pictures.ENDINGS:
        return pictures.picture_source
    if ending in video.ENDINGS:
        return video.video_source
    if ending in hdf5.ENDINGS:
        return partial(hdf5.hdf5_source, **named)
    if ending in numpy_file.ENDINGS:
        return partial(numpy_file.numpy_source, memory_budget=spec.memory_budget, **named)
    if ending == ".nd2":
        return partial(microscopes.nd2_source, movie=spec.movie, pixel_um=spec.pixel_um)
    if ending == ".czi":
        return partial(microscopes.czi_source, movie=spec.movie, pixel_um=spec.pixel_um)
    if ending == ".zip":
        return lambda path: _store(str(path), spec)
    raise SlimeError(f"{str(path)!r} is none that can be read; sources are {KNOWN}")


def _several(files: Sequence[Path], spec: IngestSpec, *, label: str) -> Source:
    """Files in time order: each a picture (or a stack in z), or each a run of frames."""
    opener = _opener(files[0], spec)
    first = opener(files[0])
    if set(first.files) > {files[0]} and set(first.files) >= set(files):
        return first  # an OME-TIFF set, which the first file names
    grid = None
    if spec.pattern is not None and "{" in spec.pattern:
        grid = sequences.Grid(files, spec.pattern)
        files, first = grid.files, opener(grid.files[0])
    if "time" in first.axes and spec.axes is None and files[0].suffix.lower() in tiff.ENDINGS:
        n_pages = first.size("time")
        if n_pages > 1 and tiff.has_unnamed_pages(files[0]):
            raise SlimeError(
                f"{files[0].name} has {n_pages} pages and does not say of what: choose axes=tyx "
                "(frames, file after file) or axes=zyx (each file a stack of one time)"
            )
    if "time" in first.axes:
        return sequences.joined_source([opener(file) for file in files], label=label)
    if spec.axes is not None and len(axis_words(spec.axes)) != len(first.shape):
        raise SlimeError(f"axes={spec.axes} names other axes than a file's: {first.shape}")
    return sequences.sequence_source(first, files, opener, label=label, grid=grid)


def _is_store(path: Path) -> bool:
    """Whether a zarr store lies there, or one is meant by the name."""
    if path.name.rstrip("/").endswith((".zarr", ".partial")):
        return True
    return path.is_dir() and any((path / name).exists() for name in METADATA)


def _existing(word: str) -> Path:
    path = local_path(word)
    if path is None:
        raise SlimeError(f"{word!r} is a URL: of those, name one zarr store alone")
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise MissingStoreError(
            f"there is nothing at {word!r}{nearest(path.name, [p.name for p in beside])}"
        )
    return path
