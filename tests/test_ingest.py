"""Conversion as a whole: every pixel kept, nothing overwritten, resumed as if never stopped."""

import errno
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

from slime.errors import SlimeError, StoreError
from slime.files import read_lines
from slime.ingest import IngestSpec, ingest_movie
from slime.ingest.writing import Job, frame_digest
from slime.layout import lost_chunks
from slime.movie import open_movie

ROOT = Path(__file__).resolve().parents[1]


def _pixels(n: int = 23, y: int = 6, x: int = 7, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (n, y, x)).astype(dtype)


@pytest.fixture
def source(tmp_path) -> Path:
    np.save(tmp_path / "dish 3.npy", _pixels())
    return tmp_path / "dish 3.npy"


def _convert(*words: Any, out: Path, **choices: Any) -> tuple[Path, list[str]]:
    told: list[str] = []
    path = ingest_movie(
        [str(w) for w in words], IngestSpec(out=str(out), **choices), say=told.append
    )
    return path, told


SMALL = {"chunk_frames": 2, "shard_frames": 4}


def test_pixels_are_kept_bit_for_bit_in_chunks_of_whole_frames(source, tmp_path):
    out, told = _convert(source, out=tmp_path / "a.zarr", frame_interval_s=15.0, pixel_um=0.65)
    stored = zarr.open_array(out / "frames", mode="r")
    assert stored.dtype == np.uint16
    assert stored.chunks == (16, 1, 6, 7)
    assert stored.shards == (32, 1, 6, 7)  # 23 frames need two chunks
    assert np.array_equal(stored[:, 0], _pixels())
    assert lost_chunks(stored) == 0
    movie = open_movie(out)
    assert (movie.attrs["frame_interval_s"], movie.attrs["pixel_um"]) == (15.0, 0.65)
    assert zarr.open_group(out, mode="r").attrs["experiment"] == "dish 3"
    assert movie["time"].values.tolist() == [15.0 * i for i in range(23)]
    assert any("chunks of 16 whole frames" in line for line in told)
    assert told[-1].startswith("verified: 23 frames")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "dish 3.npy"]


def test_xarray_opens_it_and_its_origin_is_written_in_it(source, tmp_path):
    out, _ = _convert(source, out=tmp_path / "a", pixel_um=2.0, frames="3:11:2")
    movie = xr.open_zarr(out)
    assert movie.frames.dims == ("time", "channel", "y", "x")
    assert np.array_equal(movie.frames.values[:, 0], _pixels()[3:11:2])
    assert movie.x.values[:2].tolist() == [1.0, 3.0]
    assert movie.attrs["complete"]
    assert "frame_interval_s" not in movie.attrs
    told = movie.attrs["provenance"]
    assert told["source"]["names"] == ["dish 3.npy"]
    assert told["source"]["n_bytes"] == source.stat().st_size
    assert told["choices"]["frames"] == "3:11:2"
    assert told["versions"]["zarr"] == zarr.__version__
    assert movie.frame_digest.values[1] == int(frame_digest(_pixels()[5][None]), 16)


def test_the_interval_is_that_of_the_frames_that_are_kept(source, tmp_path):
    out, told = _convert(source, out=tmp_path / "a.zarr", frames="3:11:2", frame_interval_s=15.0)
    group = zarr.open_group(out, mode="r")
    assert group.attrs["frame_interval_s"] == 30.0
    assert np.asarray(group["time"][:]).tolist() == [45, 75, 105, 135]
    assert told[1] == "frame interval 30 s"


def test_the_digest_tells_a_frame_from_its_neighbour_type_and_byte_order_apart():
    frame = _pixels()[0][None]
    assert frame_digest(frame) == frame_digest(frame.astype(">u2"))
    assert frame_digest(frame) != frame_digest(frame.astype("uint32"))
    assert frame_digest(frame) != frame_digest(frame.transpose(0, 2, 1))
    assert len({frame_digest(f[None]) for f in _pixels()}) == 23


@pytest.mark.parametrize(
    ("y", "x", "n_channels", "chunk"),
    [
        (64, 64, 1, 16),
        (512, 512, 2, 16),
        (1024, 1024, 1, 8),
        (2048, 2048, 1, 2),
        (8192, 8192, 1, 1),
    ],
)
def test_chunks_hold_sixteen_frames_or_as_many_as_stay_within_16_mib(y, x, n_channels, chunk):
    from slime.ingest.chunking import choose_chunking

    frame = y * x * n_channels * 2
    chosen = choose_chunking(5000, frame, frame, 1, IngestSpec(out="a", memory_gib=64.0), 4)
    assert chosen.chunk == chunk
    assert chosen.chunk * frame <= 16 << 20 or chunk == 1
    assert 44 <= chosen.shard <= 56
    assert chosen.shard % chosen.chunk == 0
    assert chosen.block % chosen.shard == 0


def test_memory_bounds_what_is_in_flight_and_too_little_is_refused():
    from slime.ingest.chunking import choose_chunking

    frame = 8 << 20
    for memory in (0.25, 1.0, 4.0):
        chosen = choose_chunking(
            5000, frame, 3 * frame, 1, IngestSpec(out="a", memory_gib=memory), 64
        )
        held = chosen.block * 3 * frame + chosen.read * 3 * frame
        assert chosen.n_at_once * held <= memory * 2**30
    with pytest.raises(
        SlimeError, match=r"writing 2 frames at once takes .* above memory_gib=0.05"
    ):
        choose_chunking(5000, frame, 3 * frame, 1, IngestSpec(out="a", memory_gib=0.05), 4)


def test_long_chunks_of_a_source_are_decoded_about_once(tmp_path):
    from slime.ingest.chunking import choose_chunking

    chosen = choose_chunking(5000, 1000, 1000, 100, IngestSpec(out="a"), 4)
    n_decoded = sum(
        -(-min(a + chosen.block, 5000) // 100) - a // 100 for a in range(0, 5000, chosen.block)
    )
    assert n_decoded <= 1.25 * 50


@pytest.mark.parametrize("address", [None, "cluster"])
def test_a_cluster_writes_the_same_store_as_threads(source, tmp_path, address):
    from distributed import LocalCluster

    if address is None:
        out = ingest_movie([str(source)], IngestSpec(out=str(tmp_path / "a.zarr"), **SMALL))
    else:
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as local:
            out = ingest_movie(
                [str(source)],
                IngestSpec(out=str(tmp_path / "a.zarr"), **SMALL),
                address=local.scheduler_address,
            )
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], _pixels())


def _stop_after(monkeypatch: pytest.MonkeyPatch, n: int, error: BaseException) -> None:
    write, calls = Job.write, []

    def stopped(self: Job, shards: Any) -> Any:
        calls.append(shards)
        if len(calls) > n:
            raise error
        return write(self, shards)

    monkeypatch.setattr(Job, "write", stopped)


def test_a_full_disk_is_passed_on_and_what_was_written_is_kept(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _stop_after(patch, 2, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="No space left"):
            _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert not (tmp_path / "a.zarr").exists()
    assert (tmp_path / "a.zarr.partial").is_dir()
    n_kept = len(read_lines(tmp_path / "a.zarr.partial.blocks.jsonl")) - 1
    assert n_kept >= 1
    out, told = _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert f"going on after {n_kept} of 6 files" in told
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], _pixels())


def test_only_missing_shards_are_written_again(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _stop_after(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            _convert(source, out=tmp_path / "a.zarr", **SMALL)
    kept = {r["shard"] for r in read_lines(tmp_path / "a.zarr.partial.blocks.jsonl")[1:]}
    written: list[int] = []
    write = Job.write
    monkeypatch.setattr(Job, "write", lambda self, s: (written.extend(s), write(self, s))[1])
    _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert sorted([*kept, *written]) == list(range(6))


def _begun(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **choices: Any) -> None:
    with monkeypatch.context() as patch:
        _stop_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            _convert(source, out=tmp_path / "a.zarr", **{**SMALL, **choices})


def test_other_choices_or_another_source_are_not_gone_on_with(source, tmp_path, monkeypatch):
    _begun(source, tmp_path, monkeypatch)
    with pytest.raises(SlimeError, match=r"was begun with frames=None, not 1:9"):
        _convert(source, out=tmp_path / "a.zarr", **SMALL, frames="1:9")
    changed = _pixels()
    changed[7, 3, 3] += 1
    np.save(source, changed)
    with pytest.raises(SlimeError, match=r"was begun with another source \(sha256"):
        _convert(source, out=tmp_path / "a.zarr", **SMALL)


def test_a_folder_that_is_no_unfinished_conversion_is_left_alone(source, tmp_path):
    (tmp_path / "a.zarr.partial").mkdir()
    (tmp_path / "a.zarr.partial" / "mine").touch()
    with pytest.raises(SlimeError, match="no conversion that could go on"):
        _convert(source, out=tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr.partial" / "mine").exists()


def test_a_store_changed_between_writing_and_verifying_is_not_finished(
    source, tmp_path, monkeypatch
):
    import slime.ingest.convert as convert

    verify = convert._verify

    def tampered(job: Job, *rest: Any) -> None:
        pixels = zarr.open_array(Path(job.partial) / "frames", mode="r+")
        pixels[9, 0, 2, 3] = pixels[9, 0, 2, 3] + 1
        verify(job, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(convert, "_verify", tampered)
        with pytest.raises(StoreError, match=r"1 frames of 1 files are not what was .*frame 9"):
            _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert not (tmp_path / "a.zarr").exists()
    out, told = _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert "going on after 5 of 6 files" in told
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], _pixels())


@pytest.mark.parametrize("fault", ["flip", "gone", "cut"])
def test_a_damaged_file_is_found_by_verifying(source, tmp_path, monkeypatch, fault):
    import slime.ingest.convert as convert

    verify = convert._verify

    def tampered(job: Job, *rest: Any) -> None:
        file = Path(job.partial) / "frames/c/1/0/0/0"
        content = bytearray(file.read_bytes())
        if fault == "gone":
            file.unlink()
        else:
            content[20] ^= 1
            file.write_bytes(content if fault == "flip" else content[: len(content) // 2])
        verify(job, *rest)

    monkeypatch.setattr(convert, "_verify", tampered)
    with pytest.raises(StoreError, match=r"4 frames of 1 files .*first frame 4"):
        _convert(source, out=tmp_path / "a.zarr", **SMALL)


def test_a_flipped_bit_in_the_store_is_an_error_at_reading(source, tmp_path):
    out, _ = _convert(source, out=tmp_path / "a.zarr", **SMALL)
    file = out / "frames/c/2/0/0/0"
    content = bytearray(file.read_bytes())
    content[30] ^= 4
    file.write_bytes(content)
    movie = open_movie(out)
    assert np.array_equal(movie[:8, 0].values, _pixels()[:8])
    with pytest.raises(StoreError, match=r"frames .* cannot be read"):
        _ = movie[8:12].values
    file.unlink()
    with pytest.raises(StoreError, match="frames 8 to 11 are lost"):
        _ = open_movie(out)[8:12].values


def test_a_source_that_changes_meanwhile_is_refused(source, tmp_path, monkeypatch):
    write = Job.write

    def touching(self: Job, shards: Any) -> Any:
        os.utime(source, (1, 1))
        return write(self, shards)

    monkeypatch.setattr(Job, "write", touching)
    with pytest.raises(SlimeError, match="was changed while it was read"):
        _convert(source, out=tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_nothing_is_overwritten_and_a_source_is_no_target(source, tmp_path):
    out, _ = _convert(source, out=tmp_path / "a.zarr")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(SlimeError, match=r"a.zarr exists already"):
        _convert(source, out=out)
    with pytest.raises(SlimeError, match="is the source itself"):
        _convert(out, out=out)
    with pytest.raises(SlimeError, match="is the source itself, or lies in it"):
        _convert(out, out=out / "inner.zarr")
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_two_conversions_into_one_store_are_refused(source, tmp_path):
    from slime.lock import HeldLock

    held = HeldLock(tmp_path / "a.zarr.partial.lock", "x")
    with pytest.raises(SlimeError, match="is being written by another process"):
        _convert(source, out=tmp_path / "a.zarr")
    held.release()


def test_blank_frames_are_stored_so_that_a_lost_file_is_known(tmp_path):
    np.save(tmp_path / "dark.npy", np.zeros((9, 4, 5), "uint8"))
    out, _ = _convert(tmp_path / "dark.npy", out=tmp_path / "a.zarr", **SMALL)
    assert lost_chunks(zarr.open_array(out / "frames", mode="r")) == 0
    assert not open_movie(out)["blank"].values.any()


def test_nan_is_kept_bit_for_bit_and_said(tmp_path):
    pixels = _pixels(dtype="float32")
    pixels[5, 1, 1], pixels[6, 2, 2] = np.nan, np.inf
    np.save(tmp_path / "a.npy", pixels)
    out, told = _convert(tmp_path / "a.npy", out=tmp_path / "a.zarr", **SMALL)
    stored = zarr.open_array(out / "frames", mode="r")[:, 0]
    assert stored.tobytes() == pixels.tobytes()
    assert any(line.startswith("2 frames hold NaN or infinite pixels (5 to 6)") for line in told)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", ">u2", "uint32", "int64", "float16", ">f4", "float64"]
)
def test_every_type_is_kept(tmp_path, dtype):
    pixels = _pixels(n=3, dtype=dtype)
    np.save(tmp_path / "a.npy", pixels)
    out, _ = _convert(tmp_path / "a.npy", out=tmp_path / "a.zarr")
    stored = zarr.open_array(out / "frames", mode="r")
    assert stored.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(stored[:, 0], pixels)


def test_crop_channels_and_z_take_what_they_name(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 99, (5, 3, 4, 6, 7)).astype("uint8")
    np.save(tmp_path / "a.npy", pixels)
    out, _ = _convert(
        tmp_path / "a.npy", out=tmp_path / "a.zarr", channels="2,0", crop="1:-1,2:6", z="max"
    )
    stored = zarr.open_array(out / "frames", mode="r")[:]
    assert np.array_equal(stored, pixels[:, [2, 0], :, 1:-1, 2:6].max(axis=2))
    assert open_movie(out)["channel"].values.tolist() == ["2", "0"]
    out, _ = _convert(tmp_path / "a.npy", out=tmp_path / "b.zarr", z="3", channels="1")
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:], pixels[:, [1], 3])
    out, _ = _convert(tmp_path / "a.npy", out=tmp_path / "c.zarr", z="mean")
    stored = zarr.open_array(out / "frames", mode="r")[:]
    assert stored.dtype == np.float32
    assert np.allclose(stored, pixels.mean(axis=2), rtol=1e-6)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"frames": "40:50"}, "frames=40:50 takes none of the 23 frames"),
        ({"frames": "5"}, "must be START:STOP"),
        ({"frames": "a:b"}, "'a' is no whole number"),
        ({"frames": "9:1:-1"}, "must be START:STOP"),
        ({"crop": "3:3,0:2"}, "takes nothing of 6 x 7 pixels"),
        ({"crop": "0:3"}, "must be Y0:Y1,X0:X1"),
        ({"channels": "red"}, "has no channel 'red', but 0"),
        ({"channels": "0,0"}, "names a channel twice"),
        ({"z": "2"}, "has no z axis"),
        ({"dtype": "uint9"}, "dtype=uint9 must be a type of real numbers"),
        ({"dtype": "complex64"}, "must be a type of real numbers"),
        ({"memory_gib": 0.0}, "memory_gib=0.* must be above 0"),
        ({"chunk_frames": 0}, "chunk_frames=0 must be at least 1"),
        ({"chunk_frames": 3, "shard_frames": 4}, "shard_frames=4 must be a multiple"),
        ({"flat_sigma_px": 3.0}, "is the blur of flat=estimate"),
        ({"axes": "yx"}, "axes=y,x names 2 axes"),
        ({"pattern": "*.npy"}, "chooses files of a folder"),
        ({"movie": 1}, "movie=1"),
        ({"out": "s3://bucket/a.zarr"}, "written to a folder here"),
    ],
)
def test_a_wrong_choice_is_named_with_what_would_be_right(source, tmp_path, choices, message):
    choices = {"out": str(tmp_path / "a.zarr"), **choices}
    with pytest.raises(SlimeError, match=message):
        ingest_movie([str(source)], IngestSpec(**choices))
    assert [p.name for p in tmp_path.iterdir()] == ["dish 3.npy"]


def _run(*words: Any, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "ingest_movie.py", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )


def _main(*words: Any) -> int:
    named = runpy.run_path(str(ROOT / "scripts" / "ingest_movie.py"), run_name="ingest_movie")
    return named["main"]([str(w) for w in words])


@pytest.mark.slow
def test_the_command_tells_what_it_did(source, tmp_path):
    done = _run(source, f"out={tmp_path / 'b c.zarr'}", "data.frame_interval_s=20")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "dish 3: NumPy, 23 frames of 6 x 7 pixels, uint16"
    assert lines[1] == "frame interval 20 s"
    assert lines[-1] == str(tmp_path / "b c.zarr")
    failed = _run(source, "out=x", "frmes=1:2")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == (
        "ingest_movie.py: there is no setting frmes; did you mean frames? (--help lists all)\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dish 3.npy", "out=x", "bleach=ration"], "bleach=ration is none of none, ratio"),
        (["dish 3.npy", "out=x", "memory_gib=much"], "memory_gib: Value 'much'"),
        (["dish 3.npy"], "say where the store goes: out=PATH.zarr"),
        (["dish 4.npy", "out=x"], "nothing at 'dish 4.npy'; did you mean dish 3.npy?"),
        (["dish 3.npy", "out=x", "--fast"], "unknown option --fast"),
        (["dish 3.npy", "out=x", "axes=yx"], "axes=y,x names 2 axes"),
        (["out=x"], "name a source: TIFF"),
    ],
)
def test_a_mistake_in_the_words_is_said(source, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SlimeError, match=re.escape(message)):
        _main(*words)
    assert [p.name for p in tmp_path.iterdir()] == ["dish 3.npy"]


def test_help_lists_every_choice_with_its_default(capsys):
    assert _main("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    for name, value in [("registration", "none"), ("memory_gib", "2.0"), ("z", "max")]:
        assert any(line.split()[:1] == [f"{name}={value}"] for line in lines)
    assert any("bleach" in line and "later frames" in line for line in lines)


@pytest.mark.slow
def test_conversions_killed_again_and_again_end_as_one_never_killed(tmp_path):
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "a.tif", rng.poisson(40, (400, 64, 64)).astype("uint16"))
    words = [tmp_path / "a.tif", "chunk_frames=4", "shard_frames=8", "bleach=ratio"]
    began = time.monotonic()
    assert _run(*words, f"out={tmp_path / 'whole.zarr'}").returncode == 0
    length = time.monotonic() - began
    draw, n_kills = random.Random(0), 0
    for k in range(4):
        out = tmp_path / f"cut-{k}.zarr"
        while not out.exists():
            process = subprocess.Popen(
                [
                    sys.executable,
                    ROOT / "scripts" / "ingest_movie.py",
                    *map(str, words),
                    f"out={out}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            try:
                _, told = process.communicate(timeout=draw.uniform(0.3, 1.0) * length)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                n_kills += 1
                continue
            assert process.returncode == 0, told
        files = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        whole = tmp_path / "whole.zarr"
        assert files == {
            p.relative_to(whole): p.read_bytes() for p in whole.rglob("*") if p.is_file()
        }
    assert n_kills >= 4
    names = {p.name for p in tmp_path.iterdir()} - {p.name for p in tmp_path.glob("*.lock")}
    assert names == {"a.tif", "whole.zarr", *(f"cut-{k}.zarr" for k in range(4))}


@pytest.mark.slow
def test_killed_at_a_random_block_it_goes_on_to_the_same_store(source, tmp_path):
    """SIGKILL in the middle of the n-th block, from inside; the rest is written by the next run."""
    kill = (
        "import os, runpy, signal, sys\n"
        "from slime.ingest.writing import Job\n"
        "write, left = Job.write, [int(sys.argv.pop(1))]\n"
        "def killed(self, shards):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(self, shards)\n"
        "Job.write = killed\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    words = [source, f"out={tmp_path / 'a.zarr'}", "chunk_frames=2", "shard_frames=4"]
    script = str(ROOT / "scripts" / "ingest_movie.py")
    for n in (random.Random(1).randint(0, 2), 1):
        killed = subprocess.run(
            [sys.executable, "-c", kill, str(n), script, *map(str, words)],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert killed.returncode == -signal.SIGKILL
        assert not (tmp_path / "a.zarr").exists()
        with pytest.raises(StoreError, match="was not finished"):
            open_movie(tmp_path / "a.zarr.partial")
    assert _run(*words).returncode == 0
    out, _ = _convert(source, out=tmp_path / "whole.zarr", **SMALL)
    files, whole = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "a.zarr", out)
    )
    assert files == whole


class _Killed(BaseException):
    """What no `except Exception` catches: whatever is half done stays so."""


def test_stopped_at_any_write_of_the_store_it_goes_on_to_the_same_files(
    source, tmp_path, monkeypatch
):
    """zarr writes each file aside and renames it: the n-th rename is never made."""
    rename, n_renamed, stop_at = Path.replace, [0], [10**6]

    def replace(self: Path, target: Any) -> Path:
        n_renamed[0] += 1
        if n_renamed[0] == stop_at[0]:
            raise _Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    choices = {"chunk_frames": 4, "shard_frames": 12}
    whole, _ = _convert(source, out=tmp_path / "whole.zarr", **choices)
    n_writes = n_renamed[0]
    expected = {p.relative_to(whole): p.read_bytes() for p in whole.rglob("*") if p.is_file()}
    assert n_writes > len(expected)
    for n in range(1, n_writes + 1):
        out, n_renamed[0], stop_at[0] = tmp_path / f"{n}.zarr", 0, n
        with pytest.raises(_Killed):
            _convert(source, out=out, **choices)
        stop_at[0] = 10**6
        _convert(source, out=out, **choices)
        found = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        assert found == expected, n


def test_a_journal_cut_short_by_a_kill_loses_its_last_line_alone(source, tmp_path, monkeypatch):
    _begun(source, tmp_path, monkeypatch)
    journal = tmp_path / "a.zarr.partial.blocks.jsonl"
    text = journal.read_text()
    journal.write_text(text[:-20])
    out, _ = _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], _pixels())
    assert json.loads(text.splitlines()[0])["begun"]["layout"]["shard"] == 4


def test_a_journal_without_its_store_begins_anew(source, tmp_path, monkeypatch):
    _begun(source, tmp_path, monkeypatch)
    shutil.rmtree(tmp_path / "a.zarr.partial")
    out, _ = _convert(source, out=tmp_path / "a.zarr", **SMALL)
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], _pixels())
