"""How many frames go into a chunk, a file and a block that is read at once, and why."""

from dataclasses import dataclass

from slime.errors import SlimeError
from slime.ingest.spec import IngestSpec

MIB = 1 << 20
LARGE_CHUNK = 16 * MIB
MOST_FRAMES = 16  # short runs mix well when training shuffles them
SHARD_FRAMES = 50
AMPLIFICATION = 4  # a block is this many of the source's chunks, so that few are decoded twice
READ_BYTES = 64 * MIB  # read at once where the source lies picture by picture
ENCODING = 3  # a shard, its encoded chunks, and the file that is put together of them


@dataclass(frozen=True)
class Chunking:
    """Frames in a chunk, a shard (a file), a block (whole shards) and a read; blocks at once."""

    chunk: int
    shard: int
    block: int
    read: int
    n_at_once: int
    reason: str


def choose_chunking(
    n_frames: int,
    frame_nbytes: int,
    work_nbytes: int,
    source_chunk: int,
    spec: IngestSpec,
    n_cores: int,
) -> Chunking:
    """Chunks of 8 to 16 whole frames of 1 to 16 MB where frames allow, about 50 frames a file.

    Args:
        frame_nbytes: bytes of a stored frame.
        work_nbytes: bytes beside it while a frame is read and changed.
        source_chunk: frames that the source decodes together.

    Raises:
        SlimeError: a shard is no multiple of the chunk, or not one fits the memory.
    """
    fits = LARGE_CHUNK // max(frame_nbytes, 1)
    chunk = min(spec.chunk_frames or min(max(fits, 1), MOST_FRAMES), n_frames)
    shard = spec.shard_frames or max(round(SHARD_FRAMES / chunk), 1) * chunk
    if shard % chunk:
        raise SlimeError(f"shard_frames={shard} must be a multiple of chunk_frames={chunk}")
    shard = min(shard, -(-n_frames // chunk) * chunk)
    # pictures that lie one by one are read a few at a time; what is decoded together, once
    read = min(max(READ_BYTES // max(work_nbytes, 1), 1), shard) if source_chunk == 1 else 0
    beside = (read or source_chunk) * work_nbytes
    cost = ENCODING * frame_nbytes + (0 if read else work_nbytes)
    most = (spec.memory_budget - beside) // max(cost, 1)
    if spec.shard_frames is None:
        shard = max(min(shard, most // chunk * chunk), chunk)
    if shard > most:
        raise SlimeError(
            f"writing {shard} frames at once takes {(shard * cost + beside) / 2**30:.2g} GiB, "
            f"above memory_gib={spec.memory_gib:g}: raise it, or choose smaller shard_frames and "
            "chunk_frames"
        )
    wanted = -(-AMPLIFICATION * source_chunk // shard) if source_chunk > 1 else 1
    block = max(min(wanted, most // shard, -(-n_frames // shard)), 1) * shard
    n_at_once = max(min(spec.memory_budget // (block * cost + beside), n_cores), 1)
    reason = _reason(chunk, shard, frame_nbytes, spec)
    return Chunking(chunk, shard, block, read or block, n_at_once, reason)


def _reason(chunk: int, shard: int, frame_nbytes: int, spec: IngestSpec) -> str:
    if spec.chunk_frames is not None:
        why = "as asked"
    elif chunk == MOST_FRAMES:
        why = "longer ones would mix worse in training"
    elif chunk == LARGE_CHUNK // max(frame_nbytes, 1):
        why = "as many as stay within 16 MiB"
    else:
        why = "the whole movie" if frame_nbytes <= LARGE_CHUNK else "a frame alone is above 16 MiB"
    size = f"{chunk * frame_nbytes / MIB:.3g} MiB"
    return f"chunks of {chunk} whole frames, {size} ({why}), files of {shard} frames"
