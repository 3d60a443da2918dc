"""What would be looked at, as OME-Zarr, read by others' readers."""

import numpy as np
import pytest
import zarr
from scripts_by_name import script
from viewed import saved_folder, trained

from slime.errors import SlimeError, StoreError
from slime.view.films import films_of_store
from slime.view.spec import ViewSpec
from slime.view.subject import Movies, Run
from slime.view.writing import write_movie, write_run


@pytest.fixture
def store(bare, numbered):
    """20 frames, a chunk each."""
    return bare(numbered(20))


def test_a_forecast_is_written_as_images_that_others_open(store, tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models.v05 import BioFormats2Raw, Image

    out = tmp_path / "out.zarr"
    said = write_run(Run(trained(store), ViewSpec(at=5, leads=3)), out)
    assert said == f"truth, forecast, error of 3 leads after a dish, frame 5: {out}"
    BioFormats2Raw.from_zarr(zarr.open_group(out, mode="r"))
    for name, values in (("truth", [7, 8, 9]), ("forecast", [8, 10, 12]), ("error", [1, 2, 3])):
        Image.from_zarr(zarr.open_group(out / name, mode="r"))
        (node,) = list(Reader(parse_url(str(out / name)))())
        assert np.asarray(node.data[0])[:, 0, 2, 3].tolist() == values
    with pytest.raises(SlimeError, match="is already there"):
        write_run(Run(trained(store), ViewSpec(at=5)), out)


def test_a_movie_is_written_as_stored_with_its_units(store, tmp_path):
    from ome_zarr_models.v05 import Image

    spec = ViewSpec(frames="3:6", frame_interval_s=30.0, pixel_um=2.0)
    out = tmp_path / "out.zarr"
    write_movie(Movies(str(store), films_of_store(str(store), spec), spec), out)
    group = zarr.open_group(out, mode="r")
    levels = Image.from_zarr(group).ome_attributes.multiscales[0]
    scale, start = levels.datasets[0].coordinateTransformations
    assert (scale.scale, start.translation) == ([30, 1, 2, 2], [90, 0, 0, 0])
    assert group["0"].dtype == np.uint16
    assert np.asarray(group["0"][:, 0, 0, 0]).tolist() == [4, 5, 6]
    assert group.attrs["ome"]["omero"]["channels"][0]["window"]["max"] == 6
    (again,) = films_of_store(str(out), ViewSpec())
    assert again.movie["time"].values.tolist() == [90, 120, 150]


def test_the_command_writes_what_would_be_looked_at(store, tmp_path, capsys):
    run = saved_folder(tmp_path, store)
    script("view")([str(run), f"out={tmp_path / 'seen.zarr'}", "leads=2"])
    assert "truth, forecast, error of 2 leads after a dish, frame 12" in capsys.readouterr().out
    script("view")(["--help"])
    assert "  leads=8" in capsys.readouterr().out
    (store / "c" / "3" / "0" / "0").write_bytes(b"no chunk")
    with pytest.raises(StoreError):
        script("view")([str(store), f"out={tmp_path / 'dish.zarr'}"])
    assert not (tmp_path / "dish.zarr").exists()


def test_each_channel_is_shown_within_its_own_values(bare, tmp_path):
    pixels = np.zeros((3, 2, 4, 5), np.uint16)
    pixels[:, 0], pixels[:, 1] = np.arange(3)[:, None, None], 500
    path, out = bare(pixels), tmp_path / "out.zarr"
    spec = ViewSpec(axes="TCYX")
    write_movie(Movies(str(path), films_of_store(str(path), spec), spec), out)
    shown = zarr.open_group(out, mode="r").attrs["ome"]["omero"]["channels"]
    windows = [(one["window"]["start"], one["window"]["end"]) for one in shown]
    assert windows == [(0, 2), (500, 500)]
