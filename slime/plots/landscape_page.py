"""A loss plane in relief that turns under the mouse: one HTML file that asks for nothing else."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from slime.files import write_text

TEMPLATE = Path(__file__).with_name("landscape_page.html")


def landscape_page(plane: xr.DataArray, path: Path, *, title: str) -> Path:
    """Write a plane as a page of its own, whole before it gets its name.

    Height and colour are the logarithm of the loss where all of it is above 0. Cells that are not
    finite are left open and counted; nets and snapshots stand at their own losses.
    """
    shown = {
        "title": title,
        "alpha": plane["alpha"].values.tolist(),
        "beta": plane["beta"].values.tolist(),
        "loss": [[_number(v) for v in row] for row in plane.transpose("alpha", "beta").values],
        "names": [_axis_name(plane, name) for name in ("alpha", "beta")],
        "what": f"{plane.attrs['long_name']} ({plane.attrs['units']})",
        "logarithm": bool((plane.where(np.isfinite(plane), 1) > 0).all()),
        "nets": _nets(plane),
    }
    told = json.dumps(shown).replace("<", "\\u003c")  # no text of it ends the script
    page = TEMPLATE.read_text(encoding="utf-8")
    page = page.replace("{{title}}", html.escape(title)).replace("{{plane}}", told)
    write_text(path, page)
    return path


def _axis_name(plane: xr.DataArray, name: str) -> str:
    return plane[name].attrs.get("long_name", name)


def _nets(plane: xr.DataArray) -> list[dict[str, Any]]:
    """The trained net, and other nets and snapshots with their own losses."""
    centre = plane.sel(alpha=0, beta=0).item()
    nets = [{"at": [0, 0], "loss": _number(centre), "text": "trained net", "way": False}]
    for what in ("net", "snapshot"):
        parts = [
            np.atleast_1d(plane.attrs.get(f"{what}_{p}", [])) for p in ("alpha", "beta", "loss")
        ]
        names = np.atleast_1d(plane.attrs.get("snapshot_epoch", np.arange(1, len(parts[0]) + 1)))
        word = "epoch" if what == "snapshot" else "net"
        nets += [
            {"at": [float(a), float(b)], "loss": _number(loss), "text": f"{word} {n}",
             "way": what == "snapshot"}
            for a, b, loss, n in zip(*parts, names, strict=False)
        ]  # fmt: skip
    return nets


def _number(value: float) -> float | None:
    """JSON has no other numbers than finite ones."""
    return float(value) if np.isfinite(value) else None
