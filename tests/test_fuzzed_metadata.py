"""Metadata bent at random: what opens reads, all else is our error, and no claim is allocated."""

import copy
import json
import os
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slime.errors import SlimeError
from slime.movie import open_movie, open_movies

EXAMPLES = int(os.environ.get("SLIME_EXAMPLES", "60"))  # a store
MOST_BYTES = 400 << 20  # claims go to 2**70 bytes; the flags of 5e7 chunks take some 50 MB each

WORDS = [
    *("", "a", "0", "1", "..", "../x", "/", "NaN", "2000-01-01", "\x00", "é" * 40, ".", "slime"),
    *("uint16", "<f8", "|O", "|S9", "<U9", "complex64", "C", "F", "array", "group"),
    *("bytes", "zstd", "blosc", "gzip", "sharding_indexed", "transpose", "crc32c", "pickle"),
    *("time", "t", "c", "z", "m", "second", "days", "seconds since 2020-01-01", "seconds since x"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([2**24, 2**25, 2**31, 2**50, 2**63, 2**64, 10**400, -(2**40)]),
    st.floats(),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "id", "configuration", "path", "unit", "a"]), inner
        )
    ),
    max_leaves=6,
)


@st.composite
def bent(draw, tree):
    """A JSON tree with one to three places replaced, dropped, doubled or added to."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        node, key = tree, None
        while isinstance(node, (dict, list)) and node:
            keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            above, key = node, draw(st.sampled_from(keys))
            node = node[key]
            if draw(st.integers(0, 2)) == 0:
                break
        if key is None:
            return draw(VALUES)
        how = draw(st.sampled_from(["replace", "replace", "drop", "wrap", "add", "double"]))
        if how == "drop":
            del above[key]
        elif how == "wrap":
            above[key] = [above[key]]
        elif how == "add" and isinstance(above, dict):
            above[draw(st.sampled_from(["storage_transformers", "units", "x", "zarr_format"]))] = (
                draw(VALUES)
            )
        elif how == "double" and isinstance(above, list):
            above.append(copy.deepcopy(above[key]))
        else:
            above[key] = draw(VALUES)
    return tree


def frames():
    return np.arange(1, 1 + 3 * 2 * 4 * 5, dtype="uint16").reshape(3, 2, 4, 5)


def xarray_like(zarr_format):
    def write(path):
        group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        axes = ("time", "channel", "y", "x")
        named = {"dimension_names": axes} if zarr_format == 3 else {}
        array = group.create_array("frames", data=frames(), chunks=(1, 1, 4, 3), **named)
        array.attrs["_ARRAY_DIMENSIONS"] = list(axes)
        time = group.create_array("time", data=np.arange(3) * 2.0)
        time.attrs.update({"units": "min", "_ARRAY_DIMENSIONS": ["time"]})
        group.create_array("channel", data=np.array([488, 561]))
        x = group.create_array("x", data=np.arange(5) * 0.5)
        x.attrs["units"] = "um"

    return write


def sharded(path):
    array = zarr.create_array(path, shape=(4, 2, 3, 4, 5), chunks=(1, 1, 1, 4, 5), dtype="u2",
                              shards=(2, 1, 3, 4, 5))  # fmt: skip
    array[:] = 7


def ome(version):
    def write(path):
        group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
        group.create_array("0", data=frames(), chunks=(1, 2, 4, 5))
        axes = [{"name": n, "type": k, "unit": u} for n, k, u in (
            ("t", "time", "second"), ("c", "channel", ""),
            ("y", "space", "micrometer"), ("x", "space", "micrometer"))]  # fmt: skip
        transforms = [
            {"type": "scale", "scale": [2, 1, 0.5, 0.5]},
            {"type": "translation", "translation": [1, 0, 0, 0]},
        ]
        described = {
            "multiscales": [
                {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
            ],
            "omero": {"channels": [{"label": "a"}, {"label": "b"}]},
        }
        group.attrs.update(described if version == "0.4" else {"ome": described})

    return write


STORES = {
    "xarray v2": xarray_like(2),
    "xarray v3": xarray_like(3),
    "sharded": sharded,
    "ome 0.4": ome("0.4"),
    "ome 0.5": ome("0.5"),
}


@pytest.fixture(scope="module", params=STORES)
def whole(request, tmp_path_factory):
    """A whole store: its files by their path."""
    path = tmp_path_factory.mktemp("whole") / "dish.zarr"
    STORES[request.param](path)
    files = {f.relative_to(path): f.read_bytes() for f in path.rglob("*") if f.is_file()}
    assert open_movie(path)[:2].load().shape[0] == 2
    return files


def read_some(path):
    """Open a store and read a corner of two frames, and what is known of all of them."""
    for movie in open_movies(path)[:3]:
        corner = dict.fromkeys(("channel", "y", "x"), slice(0, 3))
        movie.isel(time=slice(0, 2), **corner).load()
        movie.isel(time=slice(-1, None), **corner).load()


def refusal(path):
    """Our error's words where a store does not open or read, "" where it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_some(path)
    except SlimeError as error:
        return str(error)
    return ""


@given(st.data())
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_bent_metadata_end_in_pixels_or_in_our_error(whole, data):
    described = sorted(f for f in whole if f.name.startswith((".z", "zarr.json")))
    victim = data.draw(st.sampled_from(described))
    tree = data.draw(bent(json.loads(whole[victim])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dish.zarr"
        for name, content in whole.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        (path / victim).write_text(json.dumps(tree))
        tracemalloc.start()
        try:
            said = refusal(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert "\n" not in said
    assert len(said) < 1500
    assert peak < MOST_BYTES
