"""CZI as its open format describes it, written by hand; ND2 through a stand-in for its reader."""

import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from slime.errors import SlimeError, StoreError
from slime.ingest import IngestSpec, ingest_movie

METADATA = """<ImageDocument><Metadata><Information><Image><Dimensions><Channels>
<Channel Id="Channel:0" Name="cells"/><Channel Id="Channel:1" Name="cAMP"/></Channels>
<T><Positions><Interval><Increment>15</Increment></Interval></Positions></T></Dimensions></Image>
</Information><Scaling><Items><Distance Id="X"><Value>6.5E-07</Value></Distance>
<Distance Id="Y"><Value>6.5E-07</Value></Distance></Items></Scaling></Metadata></ImageDocument>"""


def _segment(name: bytes, content: bytes) -> bytes:
    return struct.pack("<16sqq", name, len(content), len(content)) + content


def _entry(place: int, sizes: dict[str, tuple[int, int]], packed: int = 0) -> bytes:
    """A directory entry: where a subblock begins along each axis, and how much it holds."""
    head = struct.pack("<2siqiiBB4si", b"DV", 1, place, 0, packed, 0, 0, b"", len(sizes))
    return head + b"".join(
        struct.pack("<4siifi", axis.encode(), start, size, 0.0, size)
        for axis, (start, size) in sizes.items()
    )


def _write_czi(
    path: Path, pixels: np.ndarray, tiles: Sequence[slice], leave_out: Any = (), packed: int = 0
) -> None:
    """A CZI of uint16 pixels (t, c, z, y, x), each plane cut along x into tiles."""
    blocks, entries, place = [], [], 32 + 512
    for t, c, z in np.ndindex(*pixels.shape[:3]):
        for tile in tiles:
            if (t, c, z) in leave_out:
                continue
            part = pixels[t, c, z, :, tile].astype("<u2").tobytes()
            sizes = {
                "X": (tile.start, tile.stop - tile.start), "Y": (0, pixels.shape[3]),
                "Z": (z, 1), "C": (c, 1), "T": (t, 1),
            }  # fmt: skip
            entry = _entry(place, sizes, packed)
            content = struct.pack("<iiq", 0, 0, len(part)) + entry
            content += bytes(max(240 - len(entry), 0)) + part
            blocks.append(_segment(b"ZISRAWSUBBLOCK", content))
            entries.append(entry)
            place += len(blocks[-1])
    directory = struct.pack("<i", len(entries)) + bytes(124) + b"".join(entries)
    directory = _segment(b"ZISRAWDIRECTORY", directory)
    xml = METADATA.encode()
    metadata = _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(xml), 0) + bytes(248) + xml)
    head = struct.pack(
        "<iiii16s16siqqiq", 1, 0, 0, 0, b"", b"", 0, place, place + len(directory), 0, 0
    )
    path.write_bytes(
        _segment(b"ZISRAWFILE", head.ljust(512, b"\0")) + b"".join(blocks) + directory + metadata
    )


def _pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 999, shape).astype("uint16")


def _convert(path: Path, out: Path, **choices: Any) -> tuple[np.ndarray, zarr.Group]:
    group = zarr.open_group(
        ingest_movie([str(path)], IngestSpec(out=str(out), **choices)), mode="r"
    )
    stored: Any = group["frames"]
    return stored[:], group


@pytest.mark.parametrize("tiles", [[slice(0, 7)], [slice(0, 4), slice(4, 7)]])
def test_a_czi_of_several_tiles_is_one_picture_with_units_and_names(tmp_path, tiles):
    pixels = _pixels(5, 2, 3, 6, 7)
    _write_czi(tmp_path / "a.czi", pixels, tiles)
    stored, group = _convert(tmp_path / "a.czi", tmp_path / "a.zarr", chunk_frames=2)
    assert np.array_equal(stored, pixels.max(axis=2))
    assert group.attrs["frame_interval_s"] == 15.0
    assert group.attrs["pixel_um"] == pytest.approx(0.65)
    assert np.asarray(group["channel"][:]).tolist() == ["cells", "cAMP"]
    stored, _ = _convert(tmp_path / "a.czi", tmp_path / "b.zarr", z="1", channels="cAMP")
    assert np.array_equal(stored, pixels[:, [1], 1])


def test_a_plane_that_a_czi_lacks_is_no_black_picture(tmp_path):
    _write_czi(tmp_path / "a.czi", _pixels(5, 2, 1, 6, 7), [slice(0, 7)], leave_out={(3, 1, 0)})
    with pytest.raises(StoreError, match="frame 3 lacks 1 of 2 planes: take frames=0:3"):
        _convert(tmp_path / "a.czi", tmp_path / "a.zarr")
    stored, _ = _convert(tmp_path / "a.czi", tmp_path / "b.zarr", frames="0:3")
    assert len(stored) == 3


def test_an_unknown_packing_of_a_czi_is_said(tmp_path):
    _write_czi(tmp_path / "a.czi", _pixels(3, 1, 1, 6, 7), [slice(0, 7)], packed=77)
    with pytest.raises(StoreError, match="packed in a way that czifile does not read"):
        _convert(tmp_path / "a.czi", tmp_path / "a.zarr")


class _Nd2File:
    """What slime asks of nd2.ND2File, over an array in memory."""

    pixels = _pixels(5, 2, 3, 2, 6, 7)  # T P Z C Y X

    def __init__(self, path: Path):
        self.sizes = dict(zip("TPZCYX", self.pixels.shape, strict=True))
        self.dtype = self.pixels.dtype
        names = [SimpleNamespace(channel=SimpleNamespace(name=n)) for n in ("cells", "cAMP")]
        self.metadata = SimpleNamespace(channels=names)
        self.loop_indices = tuple(
            {"T": t, "P": p, "Z": z} for t, p, z in np.ndindex(*self.pixels.shape[:3])
        )

    def __enter__(self) -> "_Nd2File":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def voxel_size(self) -> Any:
        return SimpleNamespace(x=0.5, y=0.5, z=2.0)

    def frame_metadata(self, number: int) -> Any:
        time = SimpleNamespace(relativeTimeMs=2000.0 * (number // 6))
        return SimpleNamespace(channels=[SimpleNamespace(time=time)])

    def to_dask(self, wrapper: bool) -> da.Array:
        return da.from_array(self.pixels, chunks=(1, 1, 1, 2, 6, 7))


def test_positions_of_an_nd2_are_movies_with_the_times_of_their_planes(tmp_path, monkeypatch):
    stand_in: Any = ModuleType("nd2")
    stand_in.ND2File = _Nd2File
    monkeypatch.setitem(sys.modules, "nd2", stand_in)
    (tmp_path / "a.nd2").write_bytes(b"stand-in")
    with pytest.raises(SlimeError, match="holds 2 movies: choose movie=0 to 1"):
        _convert(tmp_path / "a.nd2", tmp_path / "a.zarr")
    stored, group = _convert(tmp_path / "a.nd2", tmp_path / "a.zarr", movie=1)
    assert np.array_equal(stored, _Nd2File.pixels[:, 1].max(axis=1))
    assert np.asarray(group["time"][:]).tolist() == [0, 2, 4, 6, 8]
    assert group.attrs["pixel_um"] == 0.5
    assert np.asarray(group["channel"][:]).tolist() == ["cells", "cAMP"]


def test_the_real_reader_of_nd2_has_all_that_is_asked_of_it():
    import nd2

    asked = {
        "sizes",
        "dtype",
        "metadata",
        "loop_indices",
        "voxel_size",
        "frame_metadata",
        "to_dask",
    }
    assert asked <= set(dir(nd2.ND2File))
