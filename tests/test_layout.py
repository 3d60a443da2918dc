"""The layout that slime writes: no bit flips silently, no chunk is left out."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from slime.layout import (
    create_frames,
    drop_cut_writes,
    finish_store,
    lost_chunks,
    open_to_write,
)


def _written(path: Path, pixels: np.ndarray, **how: int) -> Path:
    group = zarr.open_group(path, mode="w")
    create_frames(group, "frames", pixels.shape, pixels.dtype, **how)
    open_to_write(path, "frames")[:] = pixels
    return path


@pytest.mark.parametrize("how", [{"chunk_frames": 2}, {"chunk_frames": 2, "shard_frames": 4}])
def test_no_flipped_bit_is_read_silently(tmp_path, how):
    pixels = np.random.default_rng(0).poisson(5, (4, 1, 6, 7)).astype("uint16")
    store = _written(tmp_path / "a.zarr", pixels, **how)
    assert np.array_equal(zarr.open_array(store / "frames", mode="r")[:], pixels)
    files = [p for p in (store / "frames" / "c").rglob("*") if p.is_file()]
    n_noticed = 0
    for file in files:
        whole = file.read_bytes()
        for bit in range(0, 8 * len(whole), 7):
            torn = bytearray(whole)
            torn[bit // 8] ^= 1 << bit % 8
            file.write_bytes(torn)
            try:
                read = zarr.open_array(store / "frames", mode="r")[:]
            except Exception:
                n_noticed += 1
            else:  # a few bits of a zstd header mean nothing: the pixels are right all the same
                assert np.array_equal(read, pixels), f"bit {bit} of {file.name}"
        file.write_bytes(whole)
    assert n_noticed > 50


@pytest.mark.parametrize("how", [{"chunk_frames": 2}, {"chunk_frames": 2, "shard_frames": 4}])
def test_chunks_of_zeros_are_stored_so_that_a_lost_one_is_known(tmp_path, how):
    store = _written(tmp_path / "a.zarr", np.zeros((8, 1, 6, 7), "uint8"), **how)
    pixels = zarr.open_array(store / "frames", mode="r")
    assert lost_chunks(pixels) == 0
    files = sorted(p for p in (store / "frames" / "c").rglob("*") if p.is_file())
    assert len(files) == 8 // how.get("shard_frames", 2)
    files[0].unlink()
    assert lost_chunks(pixels) == how.get("shard_frames", 2) // 2


def test_writing_leaves_the_settings_of_zarr_as_they_were(tmp_path):
    with zarr.config.set({"array.write_empty_chunks": False}):
        _written(tmp_path / "a.zarr", np.zeros((2, 1, 6, 7), "uint8"), chunk_frames=2)
        assert lost_chunks(zarr.open_array(tmp_path / "a.zarr" / "frames", mode="r")) == 0
        assert not zarr.config.get("array.write_empty_chunks")


def test_no_chunk_counts_as_lost_where_the_last_shard_is_not_full(tmp_path):
    store = _written(
        tmp_path / "a.zarr", np.zeros((9, 1, 6, 7), "uint8"), chunk_frames=2, shard_frames=4
    )
    assert lost_chunks(zarr.open_array(store / "frames", mode="r")) == 0


def test_a_finished_store_says_so_and_has_its_name(tmp_path):
    partial = _written(tmp_path / "a.zarr.partial", np.zeros((2, 1, 6, 7), "uint8"), chunk_frames=2)
    finish_store(partial, tmp_path / "a.zarr", {"n": 3})
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    group = zarr.open_consolidated(tmp_path / "a.zarr")
    assert dict(group.attrs) == {"n": 3, "complete": True}
    assert group["frames"].attrs["written_by"] == "slime"


def test_what_a_killed_write_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    partial = _written(tmp_path / "a.zarr.partial", np.ones((4, 1, 6, 7), "uint8"), chunk_frames=2)
    whole = {p for p in partial.rglob("*") if p.is_file()}
    (partial / "notes.partial").write_text("a user's own")

    def lost(self: Path, target: Path) -> Path:
        raise _Lost

    pixels = open_to_write(partial, "frames")
    monkeypatch.setattr(Path, "replace", lost)
    with pytest.raises(_Lost):
        pixels[:2] = 7
    monkeypatch.undo()
    assert len([p for p in partial.rglob("*") if p.is_file()]) == len(whole) + 2
    drop_cut_writes(partial)
    assert {p for p in partial.rglob("*") if p.is_file()} == whole | {partial / "notes.partial"}


class _Lost(BaseException):
    """What no `except Exception` catches: the file aside stays where it is."""
