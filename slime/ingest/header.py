"""An empty store with all that is known before its first pixel."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import zarr

from slime.ingest.corrections import Corrections
from slime.ingest.frames import Cut
from slime.ingest.spec import IngestSpec
from slime.ingest.timing import Times
from slime.ingest.writing import NAME
from slime.labels import experiment_of
from slime.layout import (
    create_frames,
    describe_store,
    write_channel_names,
    write_coordinate,
    write_pixel_positions,
)

VERSIONS = ("slime", "zarr", "numpy", "tifffile", "h5py", "av", "nd2", "czifile", "scikit-image")


def create_store(
    aside: Path,
    header: dict[str, Any],
    cut: Cut,
    done: Corrections,
    times: Times,
    spec: IngestSpec,
    provenance: dict[str, Any],
) -> None:
    """An empty store with all that is known before the first pixel."""
    layout, facts = header["layout"], cut.source.facts
    group = zarr.open_group(aside, mode="w")
    create_frames(
        group,
        NAME,
        layout["shape"],
        layout["dtype"],
        chunk_frames=layout["chunk"],
        shard_frames=layout["shard"],
    )
    if times.times_s is not None:
        write_coordinate(group, "time", times.times_s, units="s")
    if times.told_s is not None:
        write_coordinate(group, "source_time", times.told_s, ["time"], units="s")
    pixel_um = spec.pixel_um or facts.pixel_um
    if pixel_um is not None:
        height, width = layout["shape"][2:]
        write_pixel_positions(group, height, width, pixel_um)
    write_channel_names(group, cut.names)
    if done.bleach is not None:
        write_coordinate(group, "bleach_factor", done.bleach, ["time", "channel"])
    if done.shifts is not None:
        for i, axis in enumerate("yx"):
            write_coordinate(group, f"shift_{axis}", done.shifts[:, i], ["time"], units="pixel")
    if done.gain is not None:
        inner = group.create_group("corrections")
        write_coordinate(inner, "flat_gain", done.gain, ["channel", "y", "x"])
    known = {"frame_interval_s": times.interval_s, "pixel_um": pixel_um}
    describe_store(
        group,
        {
            **{name: value for name, value in known.items() if value is not None},
            "experiment": spec.experiment or experiment_of(cut.source.label),
            "provenance": {
                **provenance,
                "choices": header["choices"],
                "frames": [cut.frames.start, cut.frames.stop, cut.frames.step],
                "notes": [*facts.notes, *times.notes],
                "versions": _versions(),
            },
            **facts.attributes,
        },
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
