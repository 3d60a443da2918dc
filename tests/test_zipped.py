import pickle
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

from slime.errors import SlimeError, StoreError
from slime.movie import open_movie
from slime.nodes import open_node

LAYOUTS = {
    "v3": {},
    "v2": {"zarr_format": 2},
    "sharded": {"chunks": (2, 4, 5), "shards": (4, 4, 5)},
}


@pytest.fixture
def zipped(bare, tmp_path):
    """Writes pixels as a zarr and zips it: at the zip's root, or in a folder of its own."""

    def write(pixels, *, folder=False, compression=zipfile.ZIP_DEFLATED, **how):
        store = bare(pixels, "dish.zarr", **how)
        path = tmp_path / "dish.zarr.zip"
        with zipfile.ZipFile(path, "w", compression) as file:
            for member in sorted(store.rglob("*")):
                inside = member.relative_to(store.parent if folder else store)
                file.write(member, inside)
        shutil.rmtree(store)
        return path

    return write


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zipped_movie_opens_as_it_did(zipped, numbered, tmp_path, layout, folder, compression):
    path = zipped(numbered(9), folder=folder, compression=compression, **LAYOUTS[layout])
    for name in (path, str(path), f"zip::{path}", f"file://{path}"):
        movie = open_movie(name)
        assert movie.name == "dish"
        assert movie.values[:, 0, 3, 4].tolist() == list(range(1, 10))
        assert not movie["blank"].values.any()
    assert [p.name for p in tmp_path.iterdir()] == ["dish.zarr.zip"]  # nothing is extracted


def test_a_zip_by_zarr_itself_opens(tmp_path, numbered):
    with ZipStore(tmp_path / "x.zip", mode="w") as store:
        zarr.create_array(store, data=numbered(3), chunks=(1, 4, 5))
    assert open_movie(tmp_path / "x.zip").values[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_a_lost_frame_in_a_zip_is_blank_and_a_lost_tile_an_error(zipped, numbered):
    pixels = numbered(5)
    pixels[3] = 0
    assert np.flatnonzero(open_movie(zipped(pixels))["blank"]).tolist() == [3]
    pixels[3, :, 3:] = 4
    with pytest.raises(StoreError, match=r"1 frames lack a tile of the picture \(3\)"):
        open_movie(zipped(pixels, chunks=(1, 4, 3))).load()


def test_an_inner_chunk_of_a_shard_is_read_without_the_rest(zipped, numbered, monkeypatch):
    how = {"chunks": (1, 4, 5), "shards": (100, 4, 5), "compressors": None}
    path = zipped(numbered(100), compression=zipfile.ZIP_STORED, **how)
    movie = open_movie(path)
    movie["blank"].load()

    def refuse(*_):
        raise AssertionError("a whole member was read")

    monkeypatch.setattr(zipfile.ZipFile, "open", refuse)
    assert movie[41].values[0, 0, 0] == 42


def test_many_threads_read_one_zip(zipped, numbered):
    movie = open_movie(zipped(numbered(60), chunks=(2, 4, 5)))
    with ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda i: movie[i].values[0, 0, 0], list(range(60)) * 5)
        assert list(read) == [i + 1 for i in range(60)] * 5


def test_a_zipped_store_can_be_sent_to_another_process(zipped, numbered):
    node = open_node(zipped(numbered(3)))
    assert pickle.loads(pickle.dumps(node))[2, 0, 0] == 3


def damaged(tmp_path, zipped, numbered, fault):
    path = zipped(numbered(3))
    raw = path.read_bytes()
    if fault == "text":
        path.write_text("hello")
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "cut":
        path.write_bytes(raw[:-30])
    elif fault == "no zarr":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("notes/hello.txt", "hello")
    else:
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(fault, "out")
    return path


FAULTS = {
    "text": "is no zip file",
    "empty": "is no zip file",
    "cut": "is a truncated zip file.*copy it again",
    "no zarr": r"holds no zarr array or group, at its root or in one folder \(hello\.txt\)",
    "../out": r"has a member '\.\./out', which leads out of the zip",
    "a/../../out": "which leads out of the zip",
    "/etc/out": "which leads out of the zip",
    "a\\..\\out": "which leads out of the zip",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_zip_that_cannot_be_is_refused_in_one_line(tmp_path, zipped, numbered, fault):
    path = damaged(tmp_path, zipped, numbered, fault)
    with pytest.raises(SlimeError, match=FAULTS[fault]) as caught:
        open_movie(path)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["dish.zarr.zip"]


def test_a_flipped_bit_in_a_zip_is_found_by_its_own_checksum(zipped, numbered):
    path = zipped(numbered(6), compressors=None, compression=zipfile.ZIP_STORED)
    raw = path.read_bytes()
    pixel = np.full(20, 3, "<u2").tobytes()
    assert raw.count(pixel) == 1
    path.write_bytes(raw.replace(pixel, pixel[:-2] + b"\x07\x00"))
    with pytest.raises(StoreError, match=r"chunk 'c/2/0/0', frames 2 to 2 cannot be read .*CRC"):
        open_movie(path).load()


def test_the_sources_of_a_zip_are_closed_with_it(zipped, numbered):
    from slime.zipped import ZippedStore

    opened = []

    def source(path):
        opened.append(path.open("rb"))
        return opened[-1]

    store = ZippedStore(partial(source, zipped(numbered(2))), "dish")
    assert store.root() == ""
    del store
    assert all(file.closed for file in opened)
