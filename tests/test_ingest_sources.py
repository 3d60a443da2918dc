"""Every kind of source: pixels bit for bit, axes and units as the file has them."""

import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from slime.errors import SlimeError
from slime.ingest import IngestSpec, ingest_movie
from slime.movie import open_movie


def _random(*shape: int, dtype: str = "uint16", high: int = 999) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def _convert(*words: Any, **choices: Any) -> tuple[np.ndarray, Any, list[str]]:
    """The stored pixels, the movie as slime opens it, and what was said."""
    told: list[str] = []
    first = Path(str(words[0]))
    named = first.parent / f"{first.stem} {len(list(first.parent.iterdir()))}.zarr"
    path = ingest_movie(
        [str(w) for w in words], IngestSpec(out=str(named), **choices), say=told.append
    )
    stored = zarr.open_array(path / "frames", mode="r")[:]
    return stored, open_movie(path, variable="frames"), told


def _refused(*words: Any, match: str, **choices: Any) -> None:
    with pytest.raises(SlimeError, match=match):
        _convert(*words, **choices)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_imagej_hyperstack_with_its_units(tmp_path, order):
    pixels = _random(7, 3, 2, 4, 5)
    tifffile.imwrite(
        tmp_path / "a b.tif",
        pixels,
        imagej=True,
        byteorder=order,
        resolution=(1 / 0.65, 1 / 0.65),
        metadata={"axes": "TZCYX", "finterval": 15.0, "unit": "um"},
    )
    stored, movie, told = _convert(tmp_path / "a b.tif")
    assert stored.dtype == np.dtype("uint16")
    assert np.array_equal(stored, pixels.max(axis=1))
    assert movie.attrs["frame_interval_s"] == 15.0
    assert movie.attrs["pixel_um"] == pytest.approx(0.65)
    assert told[0] == "a b: TIFF (ImageJ), 7 frames of 4 x 5 pixels, 2 channels (0, 1), uint16"
    stored, *_ = _convert(tmp_path / "a b.tif", z="1", channels="1")
    assert np.array_equal(stored, pixels[:, 1, [1]])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_ome_tiff_with_its_units_and_channel_names(tmp_path, compression):
    pixels = _random(7, 2, 4, 5)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        pixels,
        compression=compression,
        metadata={
            "axes": "TCYX", "TimeIncrement": 0.5, "TimeIncrementUnit": "min", "PhysicalSizeX": 650,
            "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 650, "PhysicalSizeYUnit": "nm",
            "Channel": {"Name": ["cells", "cAMP"]},
        },
    )  # fmt: skip
    stored, movie, _ = _convert(tmp_path / "a.ome.tif", channels="cAMP")
    assert np.array_equal(stored, pixels[:, [1]])
    assert (movie.attrs["frame_interval_s"], movie.attrs["pixel_um"]) == (30.0, 0.65)
    assert movie["channel"].values.tolist() == ["cAMP"]


def test_the_times_of_ome_planes_win_and_uneven_ones_are_kept_and_said(tmp_path):
    pixels = _random(5, 4, 5)
    for name, times in (("even", [0, 10, 20, 30, 40]), ("odd", [0, 10, 20, 45, 45])):
        tifffile.imwrite(
            tmp_path / f"{name}.ome.tif",
            pixels,
            metadata={
                "axes": "TYX",
                "Plane": {"DeltaT": times, "DeltaTUnit": ["s"] * 5},
            },
        )
    _, movie, _ = _convert(tmp_path / "even.ome.tif")
    assert movie["time"].values.tolist() == [0, 10, 20, 30, 40]
    out = tmp_path / "odd.zarr"
    told: list[str] = []
    ingest_movie([str(tmp_path / "odd.ome.tif")], IngestSpec(out=str(out)), say=told.append)
    assert any("time is uneven, first from frame 2 to 3" in line for line in told)
    group = zarr.open_group(out, mode="r")
    assert group["time"][:].tolist() == [0, 10, 20, 45, 45]
    assert "frame_interval_s" not in group.attrs
    with pytest.raises(SlimeError, match="time is uneven"):
        open_movie(out)
    _, movie, _ = _convert(tmp_path / "odd.ome.tif", frame_interval_s=10.0)
    assert movie["time"].values.tolist() == [0, 10, 20, 30, 40]


def test_pages_without_a_name_are_time_and_several_files_must_say(tmp_path):
    pixels = _random(6, 4, 5)
    for i in range(2):
        with tifffile.TiffWriter(tmp_path / f"{i}.tif") as file:
            for page in pixels[3 * i : 3 * i + 3]:
                file.write(page, metadata=None, contiguous=False)
    stored, *_ = _convert(tmp_path / "1.tif")
    assert np.array_equal(stored[:, 0], pixels[3:])
    both = tmp_path / "0.tif", tmp_path / "1.tif"
    _refused(*both, match="0.tif has 3 pages and does not say of what: choose axes=tyx")
    stored, *_ = _convert(*both, axes="tyx")
    assert np.array_equal(stored[:, 0], pixels)
    stored, *_ = _convert(*both, axes="zyx")
    assert np.array_equal(stored[:, 0], pixels.reshape(2, 3, 4, 5).max(axis=1))


def test_files_of_a_stack_are_joined_in_natural_order(tmp_path):
    pixels = _random(9, 4, 5)
    parts = {"m_2.tif": (0, 2), "m_9.tif": (2, 3), "m_10.tif": (3, 9)}
    for name, (a, b) in parts.items():
        tifffile.imwrite(
            tmp_path / name, pixels[a:b], imagej=True, metadata={"axes": "TYX", "finterval": 2.0}
        )
    stored, movie, _ = _convert(*sorted(tmp_path.glob("*.tif")), chunk_frames=2, shard_frames=4)
    assert np.array_equal(stored[:, 0], pixels)
    assert movie.attrs["frame_interval_s"] == 2.0
    tifffile.imwrite(tmp_path / "m_11.tif", pixels[:3, :2], imagej=True, metadata={"axes": "TYX"})
    _refused(*tmp_path.glob("*.tif"), match="files of one movie differ in their length alone")


def test_frames_that_imagej_took_for_slices_are_named_by_the_user(tmp_path):
    pixels = _random(6, 4, 5)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZYX"})
    _refused(tmp_path / "a.tif", match=r"axes z,y,x .* frames, give axes=time,y,x")
    stored, *_ = _convert(tmp_path / "a.tif", axes="time,y,x")
    assert np.array_equal(stored[:, 0], pixels)


def test_colours_of_a_tiff_are_channels(tmp_path):
    pixels = _random(6, 4, 5, 3, dtype="uint8", high=255)
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb")
    stored, *_ = _convert(tmp_path / "rgb.tif")
    assert np.array_equal(stored, pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("kind", ["imagej", "ome", "pages", "zlib"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_tiff_that_was_cut_short_is_never_taken_for_a_shorter_movie(tmp_path, kind, share):
    pixels = _random(20, 40, 50)
    whole = tmp_path / "whole.tif"
    how: dict[str, Any] = {
        "imagej": {"imagej": True, "metadata": {"axes": "TYX"}},
        "ome": {"ome": True, "metadata": {"axes": "TYX"}},
        "zlib": {"compression": "zlib"},
        "pages": {},
    }[kind]
    if kind == "pages":
        with tifffile.TiffWriter(whole) as file:
            for page in pixels:
                file.write(page, metadata=None, contiguous=False)
    else:
        tifffile.imwrite(whole, pixels, **how)
    content = whole.read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: int(len(content) * share)])
    try:
        stored, told = _convert(tmp_path / "cut.tif")[0], ""
    except SlimeError as error:
        stored, told = None, str(error)
    if stored is not None:  # what was cut off is a list of pages that no reader needs
        assert share == 0.97
        assert np.array_equal(stored[:, 0], pixels)
    else:
        assert re.search("damaged|cut short|cannot be read|no readable", told)
        assert "put back a whole file" in told


def test_a_tiff_whose_pixels_end_early_is_refused_before_anything_is_written(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _random(20, 40, 50), truncate=True)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-100])
    _refused(tmp_path / "a.tif", match="is cut short: its pages need .* bytes and it has")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_a_folder_of_pictures_is_read_in_natural_order(tmp_path, ending):
    pixels = _random(12, 4, 5, dtype="uint8", high=255)
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for i, frame in enumerate(pixels):
        Image.fromarray(frame).save(folder / f"f{i}.{ending}")
    (folder / "notes.txt").touch()
    stored, _, told = _convert(folder, chunk_frames=2, shard_frames=4)
    assert np.array_equal(stored[:, 0], pixels)
    assert told[0].startswith("my pictures: 12 files of ")
    assert not any("uneven" in line for line in told)
    (folder / f"f5.{ending}").unlink()
    _, _, told = _convert(folder)
    assert any("is a picture missing?" in line and f"f4.{ending}" in line for line in told)


@pytest.mark.parametrize(("mode", "dtype"), [("I;16", "uint16"), ("L", "uint8"), ("1", "bool")])
def test_grey_png_of_every_depth_is_kept(tmp_path, mode, dtype):
    pixels = _random(2, 4, 5, dtype=dtype, high=2 if mode == "1" else 250)
    pixels = pixels * (200 if dtype == "uint16" else 1)
    for i, frame in enumerate(pixels.astype(dtype)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    stored, *_ = _convert(*sorted(tmp_path.glob("*.png")))
    assert stored.dtype == np.dtype(dtype)
    assert np.array_equal(stored[:, 0], pixels.astype(dtype))


def test_colour_pictures_and_palettes_become_named_channels(tmp_path):
    pixels = _random(2, 4, 5, 3, dtype="uint8", high=255)
    for i, frame in enumerate(pixels):
        Image.fromarray(frame).save(tmp_path / f"rgb{i}.png")
        few = Image.fromarray(frame // 200 * 200)
        few.quantize(8).save(tmp_path / f"pal{i}.png")
    stored, movie, _ = _convert(*tmp_path.glob("rgb*.png"))
    assert np.array_equal(stored, pixels.transpose(0, 3, 1, 2))
    assert movie["channel"].values.tolist() == ["red", "green", "blue"]
    stored, *_ = _convert(*tmp_path.glob("pal*.png"))
    assert np.array_equal(stored, (pixels // 200 * 200).transpose(0, 3, 1, 2))


def test_a_png_of_sixteen_bits_a_colour_is_refused_rather_than_cut(tmp_path):
    import av

    frame = av.VideoFrame.from_ndarray(_random(4, 6, 3, high=60000), format="rgb48le")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 6, 4, "rgb48be"
    codec.time_base = 1
    packets = [*codec.encode(frame.reformat(format="rgb48be")), *codec.encode(None)]
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(b"".join(bytes(p) for p in packets))
    _refused(*tmp_path.glob("*.png"), match="16 bits a colour")


def test_names_of_files_tell_time_channel_and_slice(tmp_path):
    pixels = _random(11, 2, 3, 4, 5)
    for t, c, z in np.ndindex(11, 2, 3):
        tifffile.imwrite(tmp_path / f"run_t{t}_c{'ab'[c]}_z{z}.tif", pixels[t, c, z])
    pattern = "run_t{t}_c{c}_z{z}.tif"
    stored, movie, _ = _convert(tmp_path, pattern=pattern, z="2", chunk_frames=2, shard_frames=4)
    assert np.array_equal(stored, pixels[:, :, 2])
    assert movie["channel"].values.tolist() == ["a", "b"]
    (tmp_path / "run_t4_cb_z0.tif").unlink()
    _refused(tmp_path, pattern=pattern, match=r"1 pictures of .* are not there, first \{'t': '4'")
    _refused(tmp_path, pattern="run_c{c}*.tif", match="holds no run_c")
    _refused(tmp_path, pattern="run_t*_c{c}_z{z}.tif", match=r"must have \{t\} once")


def test_pictures_that_differ_and_mixed_folders_are_refused(tmp_path):
    for i in range(3):
        Image.fromarray(_random(4, 5 + (i == 2), dtype="uint8")).save(tmp_path / f"{i}.png")
    _refused(tmp_path, match=r"'2.png' is \(4, 6\) uint8, but '0.png' is \(4, 5\)")
    tifffile.imwrite(tmp_path / "3.tif", _random(4, 5))
    _refused(tmp_path, match=r"several kinds \(.png, .tif\): choose pattern='\*.png'")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path / "empty", match="holds no picture")
    _refused(tmp_path / "3.tif", match="3.tif is one picture, of axes y,x")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/0.png").write_bytes(b"no picture")
    _refused(tmp_path / "bad", match="'0.png' is no readable picture")


def _video(path: Path, pixels: np.ndarray, codec: str, form: str, rate: int = 25) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = form
        stream.codec_context.gop_size = 5  # so that blocks begin between key frames
        for frame in pixels:
            given = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "rgb24")
            container.mux(stream.encode(given.reformat(format=form)))
        container.mux(stream.encode(None))


def test_a_grey_video_without_loss_is_kept_bit_for_bit(tmp_path):
    pixels = _random(23, 48, 64, dtype="uint8", high=255)
    _video(tmp_path / "a.mkv", pixels, "ffv1", "gray")
    stored, movie, told = _convert(tmp_path / "a.mkv", chunk_frames=2, shard_frames=4)
    assert np.array_equal(stored[:, 0], pixels)
    assert movie.attrs["frame_interval_s"] is None
    assert any("plays at 25 frames a second, which does not say" in line for line in told)


@pytest.mark.parametrize("ending", ["mp4", "avi"])
def test_any_block_of_a_video_is_what_decoding_from_the_start_gives(tmp_path, ending):
    import av

    ramp = np.add.outer(np.arange(48), np.arange(64)).astype("uint8")
    pixels = np.stack([np.roll(ramp, 3 * i, 1) for i in range(40)])
    _video(tmp_path / f"a.{ending}", np.stack([pixels] * 3, -1), "mpeg4", "yuv420p")
    with av.open(str(tmp_path / f"a.{ending}")) as container:
        expected = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    stored, movie, _ = _convert(
        tmp_path / f"a.{ending}", chunk_frames=3, shard_frames=3, frame_interval_s=20.0
    )
    assert np.array_equal(stored, expected.transpose(0, 3, 1, 2))
    assert movie.attrs["frame_interval_s"] == 20.0
    stored, *_ = _convert(tmp_path / f"a.{ending}", frames="7:31:5", channels="green")
    assert np.array_equal(stored[:, 0], expected[7:31:5, ..., 1])


def test_a_file_that_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 99)
    _refused(tmp_path / "a.mp4", match="'a.mp4' is no readable video")


def test_an_hdf5_dataset_by_name_with_the_times_beside_it(tmp_path):
    pixels = _random(9, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw/cells"] = pixels
        file["raw/time"] = np.arange(9) * 0.5
        file["raw/time"].attrs["units"] = "min"
        file["other"] = _random(3, 4, 5)
        file["raw"].attrs["pixel_um"] = 0.5
    _refused(tmp_path / "a.h5", match=r"several datasets \(other .*\): choose variable=other")
    _refused(tmp_path / "a.h5", variable="raw/cell", match="did you mean raw/cells?")
    stored, movie, _ = _convert(tmp_path / "a.h5", variable="raw/cells")
    assert np.array_equal(stored[:, 0], pixels)
    assert (movie.attrs["frame_interval_s"], movie.attrs["pixel_um"]) == (30.0, 0.5)


def test_chunked_hdf5_of_four_axes_must_be_named(tmp_path):
    pixels = _random(3, 9, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=pixels, chunks=(1, 4, 4, 5), compression="gzip")
    _refused(tmp_path / "a.h5", match="4 axes .* without names")
    stored, *_ = _convert(tmp_path / "a.h5", axes="ctyx", chunk_frames=2, shard_frames=2)
    assert np.array_equal(stored, pixels.swapaxes(0, 1))


def _well(path: Path, n_space: int = 2) -> dict[str, np.ndarray]:
    space = (6, 4, 5)[3 - n_space :]
    fields = {
        "density": np.random.default_rng(1).normal(size=(3, 7, *space)).astype("float32"),
        "pressure": np.random.default_rng(2).normal(size=(3, 7, *space)).astype("float32"),
        "velocity": np.random.default_rng(3).normal(size=(3, 7, *space, n_space)).astype("float32"),
    }
    with h5py.File(path, "w") as file:
        file.attrs["dataset_name"] = "toy"
        file.attrs["grid_type"] = "cartesian"
        file.attrs["n_spatial_dims"] = n_space
        file.attrs["n_trajectories"] = 3
        file.attrs["simulation_parameters"] = ["viscosity"]
        file.attrs["viscosity"] = 0.1
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y", "z"][:n_space]
        dimensions["time"] = (np.arange(7) * 0.1).astype("float32")
        boundary = file.create_group("boundary_conditions/x_walls")
        boundary.attrs["bc_type"] = "WALL"
        boundary.attrs["associated_dims"] = ["x"]
        boundary["mask"] = np.array([True, False, False, True])
        for name in ("density", "pressure"):
            file[f"t0_fields/{name}"] = fields[name]
        file["t0_fields/ground"] = np.zeros((3, *space), "float32")
        file["t0_fields/ground"].attrs["time_varying"] = False
        file["t1_fields/velocity"] = fields["velocity"]
        file.create_group("t2_fields")
    return fields


def test_fields_of_the_well_are_channels_of_one_trajectory(tmp_path):
    fields = _well(tmp_path / "a.hdf5")
    _refused(tmp_path / "a.hdf5", match="has the fields density, pressure, velocity: choose")
    _refused(tmp_path / "a.hdf5", variable="density", match="3 movies: choose movie=0 to 2")
    _refused(tmp_path / "a.hdf5", variable="ground", movie=0, match="no field 'ground' that moves")
    both = "density,velocity"
    _refused(tmp_path / "a.hdf5", variable=both, movie=0, match="a vector field goes alone")
    stored, movie, told = _convert(tmp_path / "a.hdf5", variable="pressure,density", movie=1)
    expected = np.stack([fields["pressure"][1], fields["density"][1]], axis=1)
    assert stored.tobytes() == expected.tobytes()
    assert movie["channel"].values.tolist() == ["pressure", "density"]
    assert movie.attrs["frame_interval_s"] == pytest.approx(0.1)
    assert "note: boundary x_walls is WALL along x" in told
    stored, movie, _ = _convert(tmp_path / "a.hdf5", variable="velocity", movie=2)
    assert np.array_equal(stored, np.moveaxis(fields["velocity"][2], -1, 1))
    group = zarr.open_group(sorted(tmp_path.glob("*.zarr"))[0], mode="r")
    assert group.attrs["boundary_conditions"]["x_walls"]["masked_points"] == 2
    assert group.attrs["viscosity"] == 0.1


def test_a_well_of_three_axes_of_space_is_projected_over_the_first(tmp_path):
    fields = _well(tmp_path / "a.hdf5", n_space=3)
    stored, *_ = _convert(tmp_path / "a.hdf5", variable="density", movie=0, z="2")
    assert np.array_equal(stored[:, 0], fields["density"][0][:, 2])


def test_numpy_archives_stored_or_packed(tmp_path):
    arrays = {"a": _random(5, 4, 5), "b": np.asfortranarray(_random(6, 4, 5, high=50))}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    for name in ("plain", "packed"):
        _refused(tmp_path / f"{name}.npz", match="arrays a, b: choose variable=a")
        stored, *_ = _convert(tmp_path / f"{name}.npz", variable="b")
        assert np.array_equal(stored[:, 0], arrays["b"])
    with zipfile.ZipFile(tmp_path / "plain.npz") as archive:
        assert archive.getinfo("a.npy").compress_type == zipfile.ZIP_STORED
    _refused(tmp_path / "packed.npz", variable="b", memory_gib=1e-7, match="packed, .* unpacked")
    _refused(tmp_path / "packed.npz", variable="c", match="no array 'c', but a, b")


def test_numpy_files_that_are_no_movie_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([[["a"]]], dtype=object), allow_pickle=True)
    _refused(tmp_path / "o.npy", match="cannot be read as NumPy")
    np.save(tmp_path / "c.npy", np.zeros((2, 3, 4), "complex64"))
    _refused(tmp_path / "c.npy", match="pixels must be real numbers")
    np.save(tmp_path / "e.npy", np.zeros((0, 3, 4)))
    _refused(tmp_path / "e.npy", match="empty|cannot be read")
    np.save(tmp_path / "t.npy", _random(9, 9, 9))
    content = (tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(content[:-40])
    _refused(tmp_path / "t.npy", match="cannot be read as NumPy")


def test_a_store_is_written_in_other_chunks_with_its_units(tmp_path):
    pixels = _random(30, 2, 8, 10)
    group = zarr.open_group(tmp_path / "in.zarr", mode="w")
    group.create_array(
        "cells", data=pixels, chunks=(10, 1, 3, 3), dimension_names=("t", "c", "y", "x")
    )
    group["mask"] = np.ones((8, 10), bool)
    group.attrs.update({"pixel_um": 0.7, "frame_interval_s": 4.0})
    stored, movie, told = _convert(tmp_path / "in.zarr", chunk_frames=4, shard_frames=8)
    assert np.array_equal(stored, pixels)
    assert (movie.attrs["frame_interval_s"], movie.attrs["pixel_um"]) == (4.0, 0.7)
    assert told[0].startswith("in: zarr, 30 frames")
    assert "note: only the movie is taken; left out: mask" in told
    (tmp_path / "in.zarr/cells/c/1/0/0/0").unlink()
    _refused(tmp_path / "in.zarr", match="frames lack a tile of the picture")
    stored, *_ = _convert(tmp_path / "in.zarr", missing="fill")
    assert (stored[10:20, 0, :3, :3] == 0).all()
    assert np.array_equal(stored[20:], pixels[20:])


def test_a_bare_stack_with_blank_frames_is_projected_and_they_are_said(tmp_path, bare):
    pixels = _random(8, 1, 3, 4, 5) + 1
    pixels[4] = 0
    store = bare(pixels, chunks=(1, 1, 1, 4, 5))
    stored, _, told = _convert(store, z="max")
    assert np.array_equal(stored, pixels.max(axis=2))
    assert told[1] == "frame interval unknown"
    assert any("1 frames have no chunk and are written as fill value" in line for line in told)
    stored, *_ = _convert(store, z="1")
    assert np.array_equal(stored, pixels[:, :, 1])


READERS = [("a.nd2", "nd2"), ("a.czi", "czifile"), ("a.h5", "h5py"), ("a.mp4", "av")]


def test_a_missing_reader_is_named_with_its_command(tmp_path, monkeypatch):
    for name, package in READERS:
        (tmp_path / name).touch()
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            _refused(tmp_path / name, match=rf"needs the package {package}: pip install {package}")


@pytest.mark.parametrize(
    "name", ["a.nd2", "a.czi", "a.h5", "a.tif", "a.npz", "a.npy", "a.xyz", "a"]
)
def test_a_file_of_garbage_is_refused_in_words(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    _refused(tmp_path / name, match="readable|none that can be read|whole|damaged|cannot be read")


def test_a_store_behind_a_url_is_converted(tmp_path):
    pixels = _random(9, 4, 5)
    store = zarr.storage.FsspecStore.from_url("memory://ingest/dish.zarr")
    zarr.create_array(store, data=pixels, chunks=(2, 4, 5))
    out = ingest_movie(["memory://ingest/dish.zarr"], IngestSpec(out=str(tmp_path / "a.zarr")))
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:, 0], pixels)
    told: Any = zarr.open_group(out, mode="r").attrs["provenance"]
    assert told["source"]["hash"] == "description"
    with pytest.raises(SlimeError, match="is the source itself"):
        ingest_movie([f"file://{out}"], IngestSpec(out=str(out)))
    with pytest.raises(SlimeError, match=r"no\.zarr"):
        ingest_movie(["memory://ingest/no.zarr"], IngestSpec(out=str(tmp_path / "b.zarr")))
