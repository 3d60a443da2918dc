"""Forecast the next frames of a movie with a trained run, or with several as an ensemble.

python scripts/forecast.py RUN [RUN ...] STORE out=PATH.zarr|PATH.tif [leads=8] [at=FRAME]
    [data.KEY=value ...]
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from slime.arguments import help_text, load_forecast_config, wants_help
from slime.checkpoint import load_run
from slime.command import run_command
from slime.devices import pick_device
from slime.forecast import forecast_members, forecast_movie, write_forecast
from slime.prepare import open_stores
from slime.run.calibrated import load_half_widths
from slime.texts import duration_text

USAGE = (
    "usage: python scripts/forecast.py RUN [RUN ...] STORE out=PATH.zarr|PATH.tif [leads=8] "
    "[at=FRAME] [data.KEY=value ...]"
)


def main(arguments: Sequence[str]) -> None:
    """Open the store as the run's were opened, roll out from its last frame, write the frames."""
    if wants_help(arguments):
        print(help_text(USAGE))
        return
    asked = load_forecast_config(arguments, USAGE)
    device = pick_device(asked.config.device)
    members = {str(run): load_run(run, device=device) for run in asked.runs}
    movies, _ = open_stores(replace(asked.config.data, stores=[asked.store]))
    if len(movies) > 1:
        raise asked.several(len(movies))
    how: dict[str, Any] = {"leads": asked.leads, "at": asked.at, "mix": asked.config.data.mix}
    if len(members) > 1:
        ahead, spread = forecast_members(members, movies[0], **how)
        write_forecast(ahead, asked.out, spread=spread)
        kept = "their spread beside it" if asked.out.suffix == ".zarr" else "no spread in a TIFF"
        print(f"mean of {len(members)} runs, {kept}")
    else:
        (saved,) = members.values()
        ahead = forecast_movie(saved, movies[0], **how)
        held = load_half_widths(asked.runs[0], saved.weights_hash)
        write_forecast(ahead, asked.out, None if held is None else held.half)
    interval = ahead.attrs["frame_interval_s"]
    until = f" ({duration_text(interval * asked.leads)} ahead)" if interval else ""
    print(f"{asked.leads} frames after frame {ahead.attrs['last_frame_given']}{until}: {asked.out}")


if __name__ == "__main__":
    run_command(main)
