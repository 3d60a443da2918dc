from pathlib import Path

import pytest

from slime.labels import store_label
from slime.places import is_url, local_path, parent_place, same_place

NAMES = {
    "a b.zarr": (False, "a b"),
    "/data/dish 3.ome.zarr/": (False, "dish 3"),
    "file:///data/a%20dish.zarr": (False, "a dish"),
    "zip::/data/dish.zarr.zip": (False, "dish"),
    "memory://dish.zarr": (True, "dish"),
    "memory://folder/dish.zarr/": (True, "dish"),
    "s3://bucket/a=1/dish 3.ome.zarr": (True, "dish 3"),
    "https://host:8000/lab/dish%203.zarr?version=2": (True, "dish 3"),
    "zip::s3://bucket/dish.zarr.zip": (True, "dish"),
    "/data/dish.zarr/A/1": (False, "dish[A/1]"),
    "s3://bucket/dish.zarr/2": (True, "dish[2]"),
    "/data/dish.zarr.d/movie": (False, "movie"),
    "C.zarr": (False, "C"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_a_url_from_a_path_and_what_to_call_it(name):
    assert (is_url(name), store_label(name)) == NAMES[name]


def test_paths_and_file_urls_are_the_same_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    same = {same_place(s) for s in ("x.zarr", tmp_path / "x.zarr", f"file://{tmp_path}/x.zarr/")}
    assert same == {str((tmp_path / "x.zarr").resolve())}
    assert same_place("s3://b/x.zarr/") == same_place("s3://b/x.zarr")
    assert local_path("~/x.zarr") == Path.home() / "x.zarr"
    assert local_path("s3://b/x.zarr") is None


def test_the_folder_above_a_place():
    assert parent_place("/data/x.zarr/1") == Path("/data/x.zarr")
    assert parent_place("s3://b/x.zarr/1/") == "s3://b/x.zarr"
    assert parent_place("s3://b") is None
    assert parent_place("/") is None
