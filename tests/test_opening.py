"""Commands that open stores share their settings, and hand all of them on to the opening."""

from dataclasses import fields

import pytest

from slime.audit_stores import AuditSpec
from slime.observables.command import MeasureSpec
from slime.opening import OpeningSpec

GIVEN = {
    "variable": "camp",
    "axes": "TCYX",
    "channels": [1],
    "z": "mean",
    "mask": "~dirt",
    "frame_interval_s": 15.0,
    "pixel_um": 50.0,
    "movie": 2,
    "memory_gib": 0.5,
}


@pytest.mark.parametrize("kind", [OpeningSpec, AuditSpec, MeasureSpec])
def test_every_setting_of_the_opening_reaches_it(kind):
    assert set(GIVEN) == {f.name for f in fields(OpeningSpec)} - {"out"}
    data = kind(out="elsewhere", **GIVEN).data("a dish.zarr")
    assert data.stores == ["a dish.zarr"]
    assert {name: getattr(data, name) for name in GIVEN} == GIVEN


def test_what_is_lost_may_be_filled_where_a_command_says_so():
    assert MeasureSpec(missing="fill").data("a dish.zarr").missing == "fill"
    assert AuditSpec().data("a dish.zarr").missing == "refuse"
