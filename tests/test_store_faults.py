"""The faults of stores, one test a row; those of damaged chunks stand in test_store.py.

Elsewhere: lost, hollow, truncated, extended chunks and huge shapes in test_store.py; CF fill values
and uneven times in test_movie.py; NaN, swapped chunks, stale metadata in test_audit*.py; HTTP in
test_remote.py; zips in test_zipped.py; kills and unfinished stores in test_simulate_movie_writer.py
and test_layout.py.
"""

import base64
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, Zstd
from zarr.codecs import BloscCodec, ZstdCodec

from slime.audit import audit
from slime.claims import claimed_nbytes
from slime.data_spec import DataSpec
from slime.errors import SlimeError, StoreError
from slime.layout import create_frames
from slime.movie import open_movie
from slime.prepare import open_stores
from slime.split import Split
from slime.stream import WindowStream
from slime.windows import WindowSpec

ENGINES = ("zarr", "zarrs", "direct")


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """Each decoder, one after the other."""
    if request.param == "zarrs":
        pytest.importorskip("zarrs")
    monkeypatch.setenv("SLIME_ENGINE", request.param)
    return request.param


LAYOUTS = {
    "v3": {"chunks": (1, 4, 3)},
    "v2": {"chunks": (1, 4, 3), "zarr_format": 2},
    "sharded": {"chunks": (1, 2, 3), "shards": (1, 4, 3)},
}


def files_of(path):
    """The chunk files of frame 2, and of all frames."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".z", "z")))
    own = [p for p in files if p.relative_to(path).as_posix().removeprefix("c/")[0] == "2"]
    assert (len(own), len(files)) == (2, 12)
    return own, files


# --- gone: after the store was opened ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fault", ["one tile", "whole frame", "folder", "emptied"])
def test_a_chunk_that_vanishes_while_it_is_used_is_an_error(bare, numbered, engine, layout, fault):
    path = bare(numbered(6), **LAYOUTS[layout])
    movie = open_movie(path)
    assert movie.values[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    for file in files_of(path)[0][: 2 if fault == "whole frame" else 1]:
        file.unlink()
        if fault == "folder":
            file.mkdir()
        if fault == "emptied":
            file.touch()
    line = r"2[./]0[./]0'( was there when the store was opened and is gone|, frames 2 to 2 cannot)"
    with pytest.raises(StoreError, match=line):
        movie.load()
    with pytest.raises(StoreError, match=line):
        movie[2, 0, 1:2, 1].load()
    assert movie[3:].values.min() == 4


def test_black_frames_that_are_there_stay_black(bare, numbered, engine):
    pixels = numbered(6)
    pixels[2:4] = 0
    path = bare(pixels, chunks=(2, 4, 3), config={"write_empty_chunks": True})
    assert (open_movie(path).values[2:4] == 0).all()


def test_a_chunk_of_a_mask_that_vanishes_is_an_error(bare, numbered, engine):
    mask = np.ones((6, 4, 5), "uint8")
    path = bare(mask, "mask.zarr", chunks=(1, 4, 5))
    movie = open_movie(bare(numbered(6)), mask=str(path))
    assert movie["mask"][:3].values.all()
    (path / "c" / "3" / "0" / "0").unlink()
    with pytest.raises(StoreError, match=r"chunk 'c/3/0/0' was there .* and is gone"):
        movie["mask"][2:].load()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_in_a_chunks_place_is_a_lost_chunk(bare, numbered, engine, layout):
    path = bare(numbered(6), **LAYOUTS[layout])
    own, _ = files_of(path)
    own[0].unlink()
    own[0].mkdir()
    with pytest.raises(StoreError, match=r"1 frames lack a tile of the picture \(2\)"):
        open_movie(path).load()


def test_a_z_slice_lost_while_it_is_used_is_an_error(bare, engine):
    pixels = np.arange(1, 241, dtype="uint16").reshape(4, 1, 3, 4, 5)
    path = bare(pixels, chunks=(1, 1, 1, 4, 5))
    movie = open_movie(path)
    movie.values  # noqa: B018
    (path / "c" / "2" / "0" / "1" / "0" / "0").unlink()
    with pytest.raises(StoreError, match=r"chunk 'c/2/0/1/0/0' was there .* and is gone"):
        movie.load()


# --- links ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_link_out_of_the_store_is_followed_only_where_it_is_allowed(
    bare, numbered, tmp_path, engine, layout
):
    path = bare(numbered(6), **LAYOUTS[layout])
    chunk = files_of(path)[0][0]
    shutil.move(chunk, tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    for missing in ("refuse", "fill"):
        with pytest.raises(
            StoreError, match=r"2[./]0[./]0' is a link that leads out .*data\.links"
        ):
            open_movie(path, missing=missing).load()
    with pytest.raises(StoreError, match="leads out"):
        open_movie(path)["blank"].load()
    movie = open_movie(path, links="follow")
    assert movie.values[:, 0, 3, 2].tolist() == [1, 2, 3, 4, 5, 6]
    (followed,), _ = open_stores(DataSpec(stores=[str(path)], links="follow"))
    assert followed.values[:, 0, 3, 2].tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(SlimeError, match=r"data\.links='no' must be refuse or follow"):
        open_movie(path, links="no")


def test_links_of_folders_are_judged_by_where_they_lead(bare, numbered, tmp_path, engine):
    path = bare(numbered(6), chunks=(1, 4, 5))
    shutil.move(path / "c" / "2", tmp_path / "elsewhere")
    (path / "c" / "2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="'c/2/0/0' is a link that leads out"):
        open_movie(path).load()
    assert open_movie(path, links="follow").values[2, 0, 0, 0] == 3
    (path / "c" / "2").unlink()
    shutil.move(tmp_path / "elsewhere", path / "kept")
    (path / "c" / "2").symlink_to(path / "kept")
    (path / "c" / "9").symlink_to(path)  # and round in a circle
    assert open_movie(path).values[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_link_to_the_store_itself_and_dangling_links(bare, numbered, tmp_path, engine):
    path = bare(numbered(6), chunks=(1, 4, 5))
    (tmp_path / "link.zarr").symlink_to(path)
    assert open_movie(tmp_path / "link.zarr").values[2, 0, 0, 0] == 3
    chunk = path / "c" / "2" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "nowhere")
    assert np.flatnonzero(open_movie(path)["blank"]).tolist() == [2]


def test_metadata_that_are_a_link_out_are_refused(bare, numbered, tmp_path):
    path = bare(numbered(6))
    shutil.move(path / "zarr.json", tmp_path / "elsewhere.json")
    (path / "zarr.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(StoreError, match=r"'zarr\.json' is a link that leads out"):
        open_movie(path).load()


# --- claims ---


def write_claim(path, n_bytes):
    """Zeros of n_bytes, which compress to a few kB, as the first chunk of a small array."""
    zarr.create_array(path, shape=(4, 4, 5), chunks=(2, 4, 5), dtype="u2", compressors=ZstdCodec())
    chunk = path / "c" / "0" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(Zstd().encode(np.zeros(n_bytes, "u1")))
    (path / "c" / "1" / "0").mkdir(parents=True)
    (path / "c" / "1" / "0" / "0").write_bytes(Zstd().encode(np.ones(40, "u2")))
    return chunk


def test_a_small_chunk_that_decodes_to_a_giant_is_refused_before_it_is_decoded(tmp_path, engine):
    path = tmp_path / "bomb.zarr"
    assert write_claim(path, 1 << 28).stat().st_size < 40_000
    script = (
        "import resource, sys; from slime.movie import open_movie; from slime.errors import *\n"
        "movie = open_movie(sys.argv[1]); movie[2:].load()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: movie[:2].load()\n"
        "except StoreError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    said, grown_kib = done.stdout.splitlines()
    assert "chunk 'c/0/0/0' claims 0.25 GiB, where the metadata make it (2, 4, 5) of uint16" in said
    assert int(grown_kib) < 64 * 1024


CODECS = {
    "zstd": lambda pixels: Zstd().encode(pixels),
    "zstd with checksum": lambda pixels: Zstd(checksum=True).encode(pixels),
    "blosc": lambda pixels: Blosc("lz4").encode(pixels),
    "lz4": lambda pixels: LZ4().encode(pixels),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("n", [1, 200, 255, 256, 300, 65535, 65536, 70_000, 1 << 20, 1 << 24])
def test_what_a_chunk_claims_is_what_it_holds(codec, n):
    head = bytes(CODECS[codec](np.arange(n, dtype="u4").view("u1")[:n]))[:32]
    assert claimed_nbytes(head, codec.split()[0]) == n


def test_a_head_that_claims_nothing_is_left_to_the_decoder():
    for codec in ("zstd", "blosc", "lz4", "gzip"):
        assert claimed_nbytes(b"", codec) is None
        assert claimed_nbytes(b"\x28\xb5\x2f", codec) is None
    streamed = b"\x28\xb5\x2f\xfd\x00\x58" + b"\x00" * 20  # zstd without a content size
    assert claimed_nbytes(streamed, "zstd") is None


@pytest.mark.parametrize("compressor", [BloscCodec(cname="lz4"), ZstdCodec()])
def test_a_header_that_lies_is_refused(bare, numbered, engine, compressor):
    path = bare(numbered(6), chunks=(2, 4, 5), compressors=compressor)
    chunk = path / "c" / "1" / "0" / "0"
    raw = bytearray(chunk.read_bytes())
    if isinstance(compressor, BloscCodec):
        raw[4:8] = struct.pack("<I", 1 << 30)
    else:
        raw = bytearray(b"\x28\xb5\x2f\xfd\xa0") + struct.pack("<I", 1 << 30) + raw[6:]
    chunk.write_bytes(raw)
    with pytest.raises(StoreError, match=r"chunk 'c/1/0/0' claims 1 GiB, where the metadata"):
        open_movie(path).load()


def test_a_zip_member_that_claims_a_giant_is_refused(tmp_path):
    path = tmp_path / "bomb.zarr"
    write_claim(path, 1 << 28)
    shutil.make_archive(str(path), "zip", path)
    with pytest.raises(StoreError, match=r"claims 0\.25 GiB"):
        open_movie(f"{path}.zip").load()


def test_chunks_that_rightly_decode_to_more_than_the_budget_are_refused(tmp_path):
    path_of_small = tmp_path / "small.zarr"
    zarr.create_array(path_of_small, shape=(8, 4, 5), chunks=(4, 4, 5), dtype="u2")[:] = 1
    small = open_movie(path_of_small, memory_budget=100)  # a chunk takes 160 bytes
    with pytest.raises(StoreError, match=r"a chunk \(4, 4, 5\) of uint16 decodes to .*memory_gib"):
        small.load()
    zarr.create_array(
        tmp_path / "wide.zarr", shape=(4, 2**15, 2**15), chunks=(2, 2**15, 2**15), dtype="u2"
    )
    for i in range(2):
        (tmp_path / "wide.zarr" / "c" / f"{i}" / "0").mkdir(parents=True)
        (tmp_path / "wide.zarr" / "c" / f"{i}" / "0" / "0").write_bytes(b"x" * 32_000)
    movie = open_movie(tmp_path / "wide.zarr")
    tracemalloc.start()
    with pytest.raises(StoreError, match=r"decodes to 4 GiB, but the memory budget is 2"):
        movie[0, 0, 5, 5].load()
    with pytest.raises(SlimeError, match=r"GiB"):
        audit(movie)
    splits = [Split("train", 0, 4, str(movie.name))]
    with pytest.raises(SlimeError, match=r"GiB|budget"):
        WindowStream([movie], splits, WindowSpec(), batch_size=1, memory_budget=1 << 30)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_block_larger_than_the_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("slime.guard.physical_memory", lambda: 1000.0)
    zarr.create_array(tmp_path / "a.zarr", shape=(30, 4, 5), chunks=(1, 4, 5), dtype="u2")[:] = 1
    movie = open_movie(tmp_path / "a.zarr")
    assert movie[:20].values.min() == 1
    with pytest.raises(StoreError, match=r"30 frames of \(1, 4, 5\) take .* read fewer at once"):
        movie.load()


# --- what would run code, or lead elsewhere ---


class Trap:
    """What unpickling would do: leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["movie", "channel", "time", "mask"])
def test_pickled_objects_are_never_loaded(tmp_path, numbered, place):
    trap, path = tmp_path / "sprung", tmp_path / "dish.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    pixels = np.repeat(numbered(3)[:, None], 2, 1)
    array = group.create_array("frames", data=pixels, chunks=(1, 2, 4, 5))
    array.attrs["_ARRAY_DIMENSIONS"] = ["time", "channel", "y", "x"]
    name = {"movie": "frames"}.get(place, place)
    shape = {"movie": [3, 2, 4, 5], "channel": [2], "time": [3], "mask": [4, 5]}[place]
    shutil.rmtree(path / name, ignore_errors=True)
    (path / name).mkdir()
    described = {
        "zarr_format": 2,
        "shape": shape,
        "chunks": shape,
        "dtype": "|O",
        "fill_value": None,
        "order": "C",
        "filters": [{"id": "pickle", "protocol": 5}],
        "compressor": None,
    }
    (path / name / ".zarray").write_text(json.dumps(described))
    (path / name / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": [place]}))
    payload = pickle.dumps(Trap(trap))
    (path / name / ".".join("0" for _ in shape)).write_bytes(payload)
    for variable in (None, "frames"):
        with pytest.raises(SlimeError, match=r"pickle|object|cannot be read"):
            open_movie(path, variable=variable, mask="mask" if place == "mask" else None).load()
    assert not trap.exists()
    pickle.loads(payload)
    assert trap.exists()  # the trap works


def test_a_pickled_fill_value_is_never_loaded(tmp_path):
    trap, path = tmp_path / "sprung", tmp_path / "dish.zarr"
    path.mkdir()
    described = {
        "zarr_format": 2,
        "shape": [3, 4, 5],
        "chunks": [1, 4, 5],
        "dtype": "|O",
        "fill_value": base64.b64encode(pickle.dumps(Trap(trap))).decode(),
        "order": "C",
        "filters": [{"id": "pickle"}],
        "compressor": None,
    }
    (path / ".zarray").write_text(json.dumps(described))
    with pytest.raises(StoreError, match="dish"):
        open_movie(path)
    assert not trap.exists()


@pytest.mark.parametrize("variable", ["../other.zarr", "a/../../other.zarr", "..\\other.zarr"])
def test_names_with_dots_lead_nowhere(tmp_path, numbered, variable):
    zarr.create_array(tmp_path / "other.zarr", data=numbered(3))
    group = zarr.open_group(tmp_path / "dish.zarr", mode="w")
    group.create_array("frames", data=numbered(3))
    with pytest.raises(StoreError, match="leads out of the store"):
        open_movie(tmp_path / "dish.zarr", variable=variable)


def test_opening_creates_nothing(tmp_path, numbered):
    for name in ("none.zarr", "none.zarr.zip", "memory://none.zarr", f"file://{tmp_path}/none"):
        place = tmp_path / name if "://" not in name else name
        with pytest.raises(SlimeError, match=r"no store at|no zarr array or group at"):
            open_movie(place)
    group = zarr.open_group(tmp_path / "dish.zarr", mode="w")
    group.create_array("frames", data=numbered(3))
    with pytest.raises(SlimeError, match="no array 'frame'"):
        open_movie(tmp_path / "dish.zarr", variable="frame")
    with pytest.raises(SlimeError, match="there is no such file"):
        open_movie(tmp_path / "dish.zarr", mask="msk")
    assert [p.name for p in tmp_path.iterdir()] == ["dish.zarr"]
    assert sorted(p.name for p in (tmp_path / "dish.zarr").iterdir()) == ["frames", "zarr.json"]


# --- bits ---


@pytest.mark.parametrize("layout", ["plain", "sharded"])
def test_no_flipped_bit_of_a_store_of_ours_goes_unseen(tmp_path, numbered, engine, layout):
    """Every third bit of a chunk file in turn: the checksum finds it, or no pixel changes."""
    pixels = numbered(4)[:, None]
    group = zarr.open_group(tmp_path / "ours.zarr", mode="w")
    shards = 4 if layout == "sharded" else None
    array = create_frames(group, "movie", pixels.shape, "u2", chunk_frames=2, shard_frames=shards)
    array[:] = pixels
    file = sorted((tmp_path / "ours.zarr" / "movie" / "c").rglob("0"))[-1]
    raw = file.read_bytes()
    silent = 0
    for bit in range(0, 8 * len(raw), 3):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            read = open_movie(tmp_path / "ours.zarr").values
        except StoreError:
            continue
        silent += not np.array_equal(read, pixels)
    assert silent == 0
