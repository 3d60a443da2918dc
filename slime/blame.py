"""Which chunk is at fault where frames could not be read."""

from itertools import product
from typing import Any

from zarr.core.sync import sync

from slime.chunks import FrameChunks
from slime.engine import Decoder
from slime.errors import StoreError, one_line
from slime.remote import RemoteStore, UnreachableError


def unreadable(
    decoder: Decoder,
    chunks: FrameChunks,
    label: str,
    frames: Any,
    error: Exception,
) -> StoreError:
    """The refusal that names the first chunk at fault, by reading each chunk of the frames alone.

    A server that fails has been asked often enough: its error names the URL.
    """
    first, last = int(frames[0]), int(frames[-1])
    array = decoder.array
    store = array.store_path.store
    if isinstance(store, RemoteStore):
        sync(store.settled())
    if isinstance(error, UnreachableError):
        return StoreError(
            f"{label}: frames {first} to {last} cannot be read: {error}: try again when the server "
            "answers"
        )
    place = ""
    for cell in product(*chunks.cells_of([first, last])):
        fault = _fault(decoder, chunks, cell)
        if fault is not None:
            place, error = f"chunk {array.metadata.encode_chunk_key(cell)!r}, ", fault
            length, n_frames = chunks.cell["time"], chunks.size["time"]
            first = cell[chunks.axes.index("time")] * length
            last = min(first + length, n_frames) - 1
            break
    return StoreError(
        f"{label}: {place}frames {first} to {last} cannot be read ({one_line(error)}): put the "
        "chunk back from a copy, or remove the file and go on with data.missing=fill"
    )


def _fault(decoder: Decoder, chunks: FrameChunks, cell: tuple[int, ...]) -> Exception | None:
    """What a read of this chunk alone ends in; zarr reads an empty shard as the fill value."""
    grid = chunks.grid
    key = tuple(slice(i * c, (i + 1) * c) for i, c in zip(cell, grid.cell, strict=True))
    try:
        decoder.read(key)
    except Exception as error:
        return error
    return EOFError("the file is empty now") if grid.present[cell] and grid.gone(cell) else None
