"""The page of a plane in relief: whole, on its own, with every finite cell."""

import json
import math
import re

import numpy as np
import xarray as xr

from slime.plots.landscape_page import landscape_page


def plane_of(losses, **attrs):
    axes = {"alpha": [-1.0, 0.0, 1.0], "beta": [-2.0, 0.0, 2.0]}
    told = {"long_name": "mean squared error at lead 1", "units": "movie units squared", **attrs}
    return xr.DataArray(np.array(losses), coords=axes, dims=("alpha", "beta"), attrs=told)


def told_by(path):
    found = re.search(r"^const plane = (.*);$", path.read_text(), re.M)
    return json.loads(found[1])


def test_the_page_holds_the_plane_and_asks_for_nothing(tmp_path):
    losses = [[1.0, 2.0, 3.0], [4.0, 0.5, 6.0], [7.0, 8.0, math.nan]]
    way = {"snapshot_alpha": [0.5, 0.1], "snapshot_beta": [1.0, 0.0], "snapshot_loss": [9.0, 0.6]}
    plane = plane_of(losses, snapshot_epoch=[3, 6], **way)
    path = landscape_page(plane.T, tmp_path / "p.html", title="a </script><b> run")
    text = path.read_text()
    assert not re.search(r"https?://|src=|href=|url\(|import |fetch|XMLHttp", text)
    assert "default-src 'none'" in text
    assert text.count("</script>") == 1
    assert "<b>" not in text
    told = told_by(path)
    assert told["title"] == "a </script><b> run"
    assert told["loss"] == [[1, 2, 3], [4, 0.5, 6], [7, 8, None]]
    assert (told["alpha"], told["beta"], told["logarithm"]) == ([-1, 0, 1], [-2, 0, 2], True)
    assert [(n["text"], n["at"], n["loss"]) for n in told["nets"]] == [
        ("trained net", [0, 0], 0.5),
        ("epoch 3", [0.5, 1], 9),
        ("epoch 6", [0.1, 0], 0.6),
    ]


def test_a_loss_of_0_is_drawn_without_a_logarithm(tmp_path):
    page = landscape_page(plane_of(np.eye(3) * 0), tmp_path / "p.html", title="flat")
    assert not told_by(page)["logarithm"]
