"""What a study leaves behind: tables of the truth, of what was found and of the errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slime.aggregation.forecasts import Nets, heat_nets
from slime.aggregation.found import Found, Places
from slime.aggregation.roll import start_of
from slime.aggregation.spec import AggregationSpec
from slime.aggregation.study import Study
from slime.files import write_text


def study_facts(study: Study, spec: AggregationSpec) -> list[str]:
    """What was read and what counts as a mound, in lines."""
    n = {split: len(study.of(split)) for split in ("train", "val", "test")}
    counts = [mounds.n for mounds in study.truth]
    dish, rule = study.dishes[0], study.rule
    height, width = dish.mask.shape
    return [
        f"{len(study.dishes)} movies of {study.n_frames} frames: {n['train']} train, "
        f"{n['val']} val, {n['test']} test; {height} x {width} pixels of {rule.pixel_um:g} um",
        f"truth at {dish.minutes(study.n_frames):g} min: {np.mean(counts):.1f} mounds a movie "
        f"({min(counts)} to {max(counts)}); {dish.channels[dish.cells]} smoothed by "
        f"{spec.truth.smooth_um:g} um above {rule.threshold:.5g}, "
        f"from {rule.min_area_um2 / 1e6:.2g} mm2 on",
        f"a found mound may lie up to {rule.max_um:g} um from a true one",
    ]


def net_facts(nets: Nets) -> str:
    """How far the heat net sees, and from where to where the rollouts go."""
    radius = heat_nets(nets)[0].receptive_radius
    reach = "the whole frame" if radius is None else f"{radius * nets.study.rule.pixel_um:g} um"
    starts = [start_of(nets.study, given, nets.spec.roll) for given in nets.study.given]
    steps = [f"{one.n_steps}" if one else "none" for one in starts]
    return (
        f"a place of the map sees {reach} to each side; rollouts take "
        f"{', '.join(steps)} steps of {nets.spec.roll.step_min:g} min to the truth"
    )


def write_truth(study: Study, spec: AggregationSpec, path: Path) -> None:
    """truth.csv: every true mound of every movie."""
    rows = [
        (dish.name, dish.split, *place, area)
        for dish, mounds in zip(study.dishes, study.truth, strict=True)
        for place, area in zip(
            _stored_um(study, spec, mounds.position_um), mounds.area_um2.tolist(), strict=True
        )
    ]
    _write(path, ("movie", "split", "y_um", "x_um", "area_um2"), rows)


def write_found(study: Study, spec: AggregationSpec, found: Sequence[Found], path: Path) -> None:
    """found.csv: every place that a model found in a test movie."""
    rows = [
        (one.model, one.given, one.seed, study.dishes[i].name, *place)
        for one in found
        for i, places in one.places_um.items()
        for place in _stored_um(study, spec, places)
    ]
    _write(path, ("model", "given", "seed", "movie", "y_um", "x_um"), rows)


def write_choices(found: Sequence[Found], path: Path) -> None:
    """choices.csv: what was chosen on the validation movies."""
    rows = [(one.model, one.given, one.seed, one.chosen) for one in found if one.chosen]
    _write(path, ("model", "given", "seed", "chosen"), rows)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV; NaN is an empty cell."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def summary_text(summary: pd.DataFrame) -> str:
    """The summary as aligned lines, one a model and K."""
    head = ("K", "minutes", "model", "error (um)", "over the best baseline (um)", "missed", "extra")
    lines: list[tuple[str, ...]] = [head]
    for row in summary.itertuples():
        one: Any = row
        over = (
            ""
            if one.model == one.best_baseline
            else _ranged(one.difference_um, one.difference_low, one.difference_high, "+d")
        )
        lines.append(
            (
                str(one.given),
                f"{one.minutes:g}",
                one.model,
                _ranged(one.penalised_um, one.low, one.high, "d"),
                "(the best baseline)" if not over else f"{over} {one.best_baseline}",
                f"{one.n_missed:.1f}",
                f"{one.n_extra:.1f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _ranged(value: float, low: float, high: float, style: str) -> str:
    said = f"{round(value):{style}}"
    if low == low:
        said += f" [{round(low):{style}} to {round(high):{style}}]"
    return said.replace("-", "−")


def _stored_um(study: Study, spec: AggregationSpec, places: Places) -> list[list[float]]:
    """Places from the middle of the first stored pixel, not of the first binned one."""
    stored_um = study.rule.pixel_um / spec.bin
    return (places + (spec.bin - 1) / 2 * stored_um).tolist()


def _write(path: Path, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    write_table(pd.DataFrame(list(rows), columns=pd.Index(columns)), path)
