"""One conversion from the user's words to a verified store."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from slime.errors import SlimeError, span_text
from slime.ingest.chunking import Chunking, choose_chunking
from slime.ingest.corrections import Corrections
from slime.ingest.estimates import Pass, chosen_corrections
from slime.ingest.find import find_source
from slime.ingest.fingerprint import fingerprint, state_of
from slime.ingest.frames import Cut, chosen_cut
from slime.ingest.header import create_store
from slime.ingest.source import Reader, Source
from slime.ingest.spec import IngestSpec
from slime.ingest.timing import Times, frame_times
from slime.ingest.writing import Job, Journal, check_shard, verification_error
from slime.layout import finish_store, write_coordinate
from slime.lock import HeldLock
from slime.places import local_path
from slime.progress import Progress
from slime.schedule import compute_blocks, scheduler, usable_cores

MOST_AT_ONCE = 64  # blocks under way on a cluster


def ingest_movie(
    words: Sequence[str],
    spec: IngestSpec,
    *,
    address: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the movie that the words name as a zarr store in slime's layout, and give its path.

    Written aside and renamed once every frame was read again and found equal to what was read
    from the source. After a kill the same call goes on from the last whole file.

    Args:
        words: a file, a folder, a store, or several files of one movie.
        address: of a dask scheduler; threads of this process without.
        say: is told what was chosen and found, a line each.

    Raises:
        SlimeError: what is wrong with the source or a choice, and what would be right.
    """
    out = _out_path(spec.out)
    _refuse_taken(out, words)
    source = find_source(words, spec)
    cut = chosen_cut(source, spec)
    times = frame_times(cut, spec)
    _tell(say, source, cut, times)
    lock = HeldLock(_beside(out, ".lock"), repr(str(out)))
    try:
        with Reader(source.opener) as reader, scheduler(address) as executor:
            one = Pass(reader, cut, executor, 1, progress)
            return _converted(one, words, spec, times, out, say, far=address is not None)
    finally:
        lock.release()


def _converted(
    one: Pass,
    words: Sequence[str],
    spec: IngestSpec,
    times: Times,
    out: Path,
    say: Callable[[str], None],
    *,
    far: bool,
) -> Path:
    cut, source = one.cut, one.cut.source
    before = state_of(source.files)
    about = f"{words} {source.shape} {source.dtype}"  # all that is known of a store elsewhere
    told = {**fingerprint(source.files, spec.hash, about), "kind": source.kind}
    n_cores = MOST_AT_ONCE if far else usable_cores()
    frame_nbytes = 8 * int(np.prod(cut.shape[1:]))
    wide = spec.memory_budget // max(32 * (cut.raw_frame_nbytes + 4 * frame_nbytes), 1)
    one = Pass(one.reader, cut, one.executor, max(min(wide, n_cores), 1), one.progress)
    done, corrected = chosen_corrections(one, spec)
    chunking = _chunking(cut, done, spec, n_cores, far=far)
    say(chunking.reason)
    header = {
        "source": {key: told[key] for key in ("sha256", "n_bytes", "n_files")},
        "choices": spec.choices(),
        "layout": {"shape": [*cut.shape[:2], *done.size(*cut.shape[2:])],
                   "dtype": str(done.stored_dtype(cut.dtype)),
                   "chunk": chunking.chunk, "shard": chunking.shard},
    }  # fmt: skip
    aside, journal_path = _beside(out, ""), _beside(out, ".blocks.jsonl")
    journal = Journal(journal_path, aside, header)
    if journal.is_new or not (aside / "zarr.json").exists():
        journal.drop(list(journal.written))
    if not journal.written:
        shutil.rmtree(aside, ignore_errors=True)
        create_store(
            aside, header, cut, done, times, spec, {"source": told, "corrections": corrected}
        )
    else:
        n_done = len(journal.written)
        say(f"going on after {n_done} of {-(-len(cut.frames) // chunking.shard)} files")
    job = Job(one.reader, cut, done, str(aside), chunking)
    _write(job, journal, one)
    _verify(job, journal, one, out)
    if state_of(source.files) != before:
        raise SlimeError(
            f"{source.label} was changed while it was read: remove {str(aside)!r} and "
            f"{str(journal_path)!r}, and convert it again"
        )
    _finish(aside, out, journal, len(cut.frames), say)
    journal_path.unlink(missing_ok=True)
    return out


def _write(job: Job, journal: Journal, one: Pass) -> None:
    """Every shard that is not there yet, a run of them from one read."""
    length, n_frames = job.chunking.shard, len(job.cut.frames)
    per_block = job.chunking.block // length
    runs: list[list[int]] = []
    for shard in range(-(-n_frames // length)):
        if shard in journal.written:
            continue
        if runs and runs[-1][-1] == shard - 1 and shard % per_block:
            runs[-1].append(shard)
        else:
            runs.append([shard])
    tasks = [partial(job.write, run) for run in runs]
    results: Any = compute_blocks(tasks, one.executor, n_at_once=job.chunking.n_at_once)
    for written in one.progress(results, len(tasks), "converting") if one.progress else results:
        for shard in written:
            journal.add(shard)


def _verify(job: Job, journal: Journal, one: Pass, out: Path) -> None:
    """Read everything again and compare it with what was read from the source."""
    length = job.chunking.shard
    tasks = [
        partial(check_shard, job.partial, shard, length, written.digests)
        for shard, written in sorted(journal.written.items())
    ]
    results: Any = compute_blocks(tasks, one.executor, n_at_once=job.chunking.n_at_once)
    checks = one.progress(results, len(tasks), "verifying") if one.progress else results
    failed = [check for check in checks if check.frames]
    if failed:
        journal.drop([check.shard for check in failed])
        raise verification_error(out, failed)


def _finish(
    aside: Path, out: Path, journal: Journal, n_frames: int, say: Callable[[str], None]
) -> None:
    rows = [journal.written[shard] for shard in sorted(journal.written)]
    digests = np.array([int(d, 16) for row in rows for d in row.digests], np.uint64)
    assert len(digests) == n_frames
    group = zarr.open_group(aside, mode="r+")
    write_coordinate(
        group, "frame_digest", digests, ["time"],
        method="blake2b, 8 bytes, big-endian: the text of dtype and (c, y, x), then pixels",
    )  # fmt: skip
    odd = [frame for row in rows for frame in row.not_finite]
    if odd:
        say(f"{len(odd)} frames hold NaN or infinite pixels ({span_text(odd)}), kept as they are: "
            "training refuses them without a mask")  # fmt: skip
    finish_store(aside, out, {})
    say(f"verified: {n_frames} frames were read again and equal what was read from the source")


def _chunking(
    cut: Cut, done: Corrections, spec: IngestSpec, n_cores: int, *, far: bool
) -> Chunking:
    n_frames, n_channels, height, width = cut.shape
    pixels = n_channels * height * width
    stored, worked = done.stored_dtype(cut.dtype), done.worked_dtype(cut.dtype)
    work = cut.raw_frame_nbytes + 2 * pixels * worked.itemsize
    frame = n_channels * int(np.prod(done.size(height, width))) * stored.itemsize
    chunking = choose_chunking(n_frames, frame, work, cut.source.chunk_frames, spec, n_cores)
    if not far:
        return chunking
    return Chunking(**{**vars(chunking), "n_at_once": MOST_AT_ONCE})  # the memory is the workers'


def _tell(say: Callable[[str], None], source: Source, cut: Cut, times: Times) -> None:
    n, c, y, x = cut.shape
    channels = f"{c} channels ({', '.join(cut.names)}), " if c > 1 else ""
    say(f"{source.label}: {source.kind}, {n} frames of {y} x {x} pixels, {channels}{source.dtype}")
    interval = "unknown" if times.interval_s is None else f"{times.interval_s:g} s"
    pixel = source.facts.pixel_um
    say(f"frame interval {interval}" + ("" if pixel is None else f", {pixel:g} um a pixel"))
    if source.dtype.kind == "b":
        say("note: pixels are true or false, as in a mask: open it with variable=frames")
    for note in [*source.facts.notes, *times.notes]:
        say(f"note: {note}")
    for name, kind in source.facts.attributes.get("boundary_conditions", {}).items():
        say(f"note: boundary {name} is {kind['type']} along {', '.join(kind['axes'])}")


def _out_path(out: str) -> Path:
    path = local_path(out)
    if path is None:
        raise SlimeError(
            f"out={out}: a store is written to a folder here; copy it there afterwards"
        )
    return path if path.suffix == ".zarr" else path.with_name(f"{path.name}.zarr")


def _refuse_taken(out: Path, words: Sequence[str]) -> None:
    place = out.resolve()
    for word in words:
        named = local_path(word)
        if named is None:
            continue
        source = named.resolve()
        if place == source or source in place.parents or place in source.parents:
            raise SlimeError(f"out={out} is the source itself, or lies in it: give another name")
    if out.exists():
        journal = _beside(out, ".blocks.jsonl")
        journal.unlink(missing_ok=True)  # left by a kill just after the store was named
        raise SlimeError(f"out={out} exists already: give another name, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SlimeError(f"out={out} cannot be made: {error.strerror}") from error


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.name}.partial{ending}")
