import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from slime.errors import SlimeError, StoreError
from slime.forecast import write_forecast
from slime.movie import open_movie

AXES = [
    {"name": "t", "type": "time", "unit": "minute"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "nanometer"},
    {"name": "x", "type": "space", "unit": "nanometer"},
]
OMERO = {"channels": [{"label": "cells"}, {"label": "cAMP"}]}


def scale(*values):
    return {"type": "scale", "scale": list(values)}


def multiscale(*levels, axes=AXES, **more):
    datasets = [
        {"path": path, "coordinateTransformations": list(transforms)}
        for path, *transforms in levels
    ]
    return {"name": "dish", "axes": axes, "datasets": datasets, **more}


@pytest.fixture
def image(tmp_path):
    """Writes an OME-Zarr image of two levels, version 0.4 or 0.5, and gives its pixels too."""

    def write(version="0.5", name="dish 3.ome.zarr", scales=None, omero=OMERO, inside=""):
        t, c, z, y, x = np.ogrid[:4, :2, :3, :4, :6]
        pixels = (1 + 1000 * t + 300 * c + 50 * z + 10 * y + x).astype("uint16")
        zarr_format = 2 if version == "0.4" else 3
        group = zarr.open_group(tmp_path / name / inside, mode="w", zarr_format=zarr_format)
        for path, level in (("0", pixels), ("1", pixels[..., ::2, ::2])):
            group.create_array(path, data=level, chunks=(1, 1, 1, *level.shape[-2:]))
        scales = scales or multiscale(
            ("0", scale(0.5, 1, 2, 325, 325)), ("1", scale(0.5, 1, 2, 650, 650))
        )
        described = {"multiscales": [scales], "omero": omero}
        if version == "0.4":
            scales["version"] = "0.4"
            group.attrs.update(described)
        else:
            group.attrs["ome"] = {"version": "0.5", **described}
        return tmp_path / name, pixels

    return write


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_opens_at_its_finest_level_with_units_and_names(image, version):
    path, pixels = image(version)
    movie = open_movie(path)
    np.testing.assert_array_equal(movie.values, pixels.max(2))
    assert movie.name == movie.attrs["experiment"] == "dish 3"
    assert movie.attrs["frame_interval_s"] == 30  # half a minute
    assert movie.attrs["pixel_um"] == pytest.approx(0.325)
    assert movie["channel"].values.tolist() == ["cells", "cAMP"]
    assert movie["time"].values.tolist() == [0, 30, 60, 90]
    assert open_movie(path, channels="cAMP", z=1).values[2, 0, 0, 0] == 2351


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_coarser_level_is_chosen_by_name_or_path(image, version):
    path, pixels = image(version)
    for movie in (open_movie(path, variable="1"), open_movie(path / "1"), open_movie(f"{path}/1/")):
        np.testing.assert_array_equal(movie.values, pixels.max(2)[..., ::2, ::2])
        assert movie.attrs["pixel_um"] == pytest.approx(0.65)
        assert movie.attrs["frame_interval_s"] == 30
        assert movie["channel"].values.tolist() == ["cells", "cAMP"]
        assert movie.name == movie.attrs["experiment"] == "dish 3"
    with pytest.raises(SlimeError, match="has no array '2', but 0, 1"):
        open_movie(path, variable="2")


def test_a_coarse_level_without_scale_does_not_take_the_size_of_the_finest(image):
    path, _ = image(scales=multiscale(("0",), ("1",)))
    zarr.open_group(path, mode="r+").attrs["pixel_um"] = 0.5
    assert open_movie(path).attrs["pixel_um"] == 0.5
    assert open_movie(path, variable="1").attrs["pixel_um"] is None


def test_scales_of_level_and_image_multiply_and_translations_add_up(image):
    # a level in steps of 2 from 3, under a scale of 10 and a shift of 1 minute: 31, 51, ...
    level = [scale(2, 1, 1, 13, 13), {"type": "translation", "translation": [3, 0, 0, 0, 0]}]
    whole = [scale(10, 1, 1, 25, 25), {"type": "translation", "translation": [1, 0, 0, 0, 0]}]
    scales = multiscale(("0", *level), coordinateTransformations=whole)
    movie = open_movie(image(scales=scales)[0])
    assert (movie["time"].values / 60).tolist() == [31, 51, 71, 91]
    assert movie.attrs["pixel_um"] == pytest.approx(0.325)


def with_unit(kind, unit):
    return [{**a, **({"unit": unit} if a["type"] == kind else {})} for a in AXES]


@pytest.mark.parametrize(
    ("unit", "step", "interval_s"),
    [
        ("second", 15, 15),
        ("millisecond", 250, 0.25),
        ("hour", 1, 3600),
        ("", 15, 15),
        ("", 1, None),
        ("frame", 1, None),
    ],
)
def test_times_come_in_seconds(image, unit, step, interval_s):
    axes = with_unit("time", unit)
    scales = multiscale(("0", scale(step, 1, 1, 1, 1)), axes=axes)
    assert open_movie(image(scales=scales)[0]).attrs["frame_interval_s"] == interval_s


@pytest.mark.parametrize(
    ("unit", "pixel_um"),
    [("angstrom", 3e-4), ("millimeter", 3000), ("meter", 3e6), ("pixel", None), ("", None)],
)
def test_pixels_come_in_micrometres(image, unit, pixel_um):
    scales = multiscale(("0", scale(1, 1, 1, 3, 3)), axes=with_unit("space", unit))
    found = open_movie(image(scales=scales)[0]).attrs["pixel_um"]
    assert found == (None if pixel_um is None else pytest.approx(pixel_um))


def test_what_cannot_be_is_refused_unless_the_user_says_better(image):
    path, _ = image(scales=multiscale(("0", scale(1, 1, 1, 300, 325))))
    with pytest.raises(SlimeError, match=r"not square \(0\.325 um along x, 0\.3 along y\)"):
        open_movie(path)
    assert open_movie(path, pixel_um=0.31).attrs["pixel_um"] == 0.31
    axes = with_unit("time", "fortnight")
    path, _ = image(scales=multiscale(("0", scale(2, 1, 1, 1, 1)), axes=axes))
    with pytest.raises(SlimeError, match=r"time is in 'fortnight'.*data\.frame_interval_s"):
        open_movie(path)
    assert open_movie(path, frame_interval_s=5).attrs["frame_interval_s"] == 5


BROKEN = {
    "short": ([scale(1, 1, 1)], r"give the scale \[1, 1, 1\], but 5 numbers are right"),
    "zero": ([scale(0, 1, 1, 1, 1)], "but 5 numbers are right"),
    "words": ([scale("1", 1, 1, 1, 1)], "but 5 numbers are right"),
    "a file": ([{"type": "scale", "path": "scales"}], "but 5 numbers are right"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_scale_that_is_none_is_refused_unless_both_sizes_are_given(image, fault):
    transforms, message = BROKEN[fault]
    path, _ = image(scales=multiscale(("0", *transforms)))
    with pytest.raises(StoreError, match=message):
        open_movie(path)
    assert open_movie(path, frame_interval_s=5, pixel_um=2).attrs["pixel_um"] == 2


@pytest.mark.parametrize("axes", [AXES[1:], ["t", "c"], [{"type": "time"}] * 5, "tczyx", 5])
def test_axes_that_do_not_fit_are_refused_unless_the_user_names_them(image, axes):
    scales = multiscale(("0",), axes=axes)
    path, _ = image(scales=scales)
    with pytest.raises(StoreError, match=r"OME metadata name the axes .* data\.axes"):
        open_movie(path)
    movie = open_movie(path, axes="TCZYX", frame_interval_s=1, pixel_um=1)
    assert movie.shape == (4, 2, 4, 6)


@pytest.mark.parametrize("axes", [None, ["t", "c", "z", "y", "x"]])
def test_early_versions_name_axes_by_letters_or_not_at_all(image, axes):
    scales = multiscale(("0",), axes=axes)
    if axes is None:
        del scales["axes"]
    path, pixels = image("0.4", scales=scales)
    np.testing.assert_array_equal(open_movie(path).values, pixels.max(2))


@pytest.mark.parametrize("levels", [[], "0", None, [{"path": 0}], [{}], [["0"]]])
def test_an_image_without_levels_is_refused(image, levels):
    path, _ = image(scales={"axes": AXES, "datasets": levels})
    with pytest.raises(StoreError, match="the OME metadata list no levels"):
        open_movie(path)
    with pytest.raises(StoreError, match="the OME metadata name a level '7'"):
        open_movie(image(scales=multiscale(("7",)))[0])
    with pytest.raises(StoreError, match="leads out of the store"):
        open_movie(image(scales=multiscale(("../other.zarr/0",)))[0])


@pytest.mark.parametrize(
    "omero",
    [
        None,
        {},
        {"channels": [{"label": "one"}]},
        {"channels": [{"label": 1}, {}]},
        {"channels": 2},
        {"channels": [{"label": "same"}, {"label": "same"}]},
    ],
)
def test_channels_without_a_name_each_go_by_number(image, omero):
    assert open_movie(image(omero=omero)[0])["channel"].values.tolist() == ["0", "1"]


def test_several_images_are_named_and_one_is_taken(image, tmp_path):
    """bioformats2raw's layout: images 0, 1, ... beside a group OME."""
    path = tmp_path / "raw.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    group.create_group("OME")
    _, pixels = image("0.4", "raw.zarr", inside="0")
    assert open_movie(path).values.shape == (4, 2, 4, 6)
    image("0.4", "raw.zarr", inside="1")
    with pytest.raises(SlimeError, match=r"holds 2 images: choose data\.variable=0 or 1"):
        open_movie(path)
    for movie in (open_movie(path, variable="1"), open_movie(path / "1")):
        assert movie.name == "raw[1]"
        np.testing.assert_array_equal(movie.values, pixels.max(2))
    coarse = open_movie(path, variable="1/1")
    assert (coarse.name, coarse.shape[-2:]) == ("raw[1]", (2, 3))
    assert coarse.attrs["pixel_um"] == pytest.approx(0.65)
    assert open_movie(path / "1" / "1").name == "raw[1]"


def test_a_plate_names_an_image_to_open(image, tmp_path):
    path = tmp_path / "plate.zarr"
    zarr.open_group(path, mode="w").attrs["ome"] = {
        "version": "0.5",
        "plate": {"wells": [{"path": "A/1"}, {"path": "A/2"}]},
    }
    well = zarr.open_group(path / "A" / "1", mode="w")
    well.attrs["ome"] = {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
    image("0.5", "plate.zarr", inside="A/1/0")
    with pytest.raises(StoreError, match=r"is a plate of 2 wells: .*data\.variable=A/1/0"):
        open_movie(path)
    with pytest.raises(SlimeError, match=r"holds 2 images: choose data\.variable=0 or 1"):
        open_movie(path / "A" / "1")
    assert open_movie(path, variable="A/1/0").name == "plate[A/1/0]"


def test_labels_beside_an_image_serve_as_its_mask(image):
    path, pixels = image("0.4")
    labels = zarr.open_group(path / "labels" / "dust", mode="w", zarr_format=2)
    dust = np.zeros(pixels[:, :1].shape, "uint8")
    dust[1, 0, 2, 3, 4] = 7
    labels.create_array("0", data=dust, chunks=(1, 1, 1, 4, 6))
    labels.attrs["multiscales"] = [{**multiscale(("0",)), "version": "0.4"}]
    movie = open_movie(path, mask="~labels/dust")
    assert np.argwhere(~movie["mask"].values.reshape(4, 4, 6)).tolist() == [[1, 3, 4]]


def test_a_zipped_image_opens_too(image):
    path, pixels = image()
    shutil.make_archive(str(path), "zip", path.parent, path.name)
    movie = open_movie(f"{path}.zip")
    np.testing.assert_array_equal(movie.values, pixels.max(2))
    assert (movie.name, movie.attrs["frame_interval_s"]) == ("dish 3", 30)


def test_what_forecast_writes_opens_again_with_its_units(tmp_path, in_memory, numbered):
    forecast = in_memory(numbered(3, dtype="float32"), "dish forecast")
    forecast = forecast.assign_coords(
        channel=["cells"], time=("time", [100.0, 115.0, 130.0], {"units": "s"})
    ).assign_attrs(frame_interval_s=15.0, pixel_um=0.65, weights_hash="x", last_frame_given=6)
    write_forecast(forecast, tmp_path / "next.zarr")
    movie = open_movie(tmp_path / "next.zarr")
    xr.testing.assert_allclose(movie.drop_vars("blank"), forecast)
    for name in ("frame_interval_s", "pixel_um"):
        assert movie.attrs[name] == forecast.attrs[name]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.filterwarnings("ignore")  # of the other library
def test_what_ome_zarr_py_writes_opens(tmp_path, version):
    writer = pytest.importorskip("ome_zarr.writer")
    formats = pytest.importorskip("ome_zarr.format")
    how = formats.FormatV04() if version == "0.4" else formats.FormatV05()
    pixels = np.random.default_rng(0).integers(1, 999, (3, 2, 8, 12)).astype("uint16")
    path = tmp_path / "dish.ome.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=how.zarr_format)
    write_levels(writer, pixels, root, how)
    movie = open_movie(path)
    np.testing.assert_array_equal(movie.values, pixels)
    assert movie.attrs["frame_interval_s"] == 30
    assert movie.attrs["pixel_um"] == pytest.approx(0.325)
    # its levels are called s0 and s1
    assert open_movie(path, variable="1").attrs["pixel_um"] == pytest.approx(0.65)


def write_levels(writer, pixels, root, how):
    writer.write_multiscale(
        [pixels, pixels[..., ::2, ::2]],
        root,
        fmt=how,
        axes=[AXES[i] for i in (0, 1, 3, 4)],
        coordinate_transformations=[
            [scale(0.5, 1, 325, 325)],
            [scale(0.5, 1, 650, 650)],
        ],
    )


def test_metadata_of_both_places_are_told_apart(image):
    """An `ome` that is not a mapping leaves the old place to be read."""
    path, _ = image("0.4")
    attrs = json.loads((path / ".zattrs").read_text())
    (path / ".zattrs").write_text(json.dumps({**attrs, "ome": "none"}))
    assert open_movie(path).attrs["frame_interval_s"] == 30
