"""Forecast the next frames of a movie with a trained run.

python scripts/forecast.py RUN STORE out=PATH.zarr|PATH.tif [leads=8] [at=FRAME] [key=value ...]
"""

from collections.abc import Sequence
from dataclasses import replace

from slime.arguments import help_text, load_forecast_config, wants_help
from slime.checkpoint import load_run
from slime.command import run_command
from slime.devices import pick_device
from slime.forecast import forecast_movie, write_forecast
from slime.prepare import open_stores
from slime.run.calibrated import load_half_widths
from slime.texts import duration_text

USAGE = (
    "usage: python scripts/forecast.py RUN STORE out=PATH.zarr|PATH.tif [leads=8] [at=FRAME] "
    "[data.KEY=value ...]"
)


def main(arguments: Sequence[str]) -> None:
    """Open the store as the run's were opened, roll out from its last frame, write the frames."""
    if wants_help(arguments):
        print(help_text(USAGE))
        return
    asked = load_forecast_config(arguments, USAGE)
    saved = load_run(asked.run, device=pick_device(asked.config.device))
    movies, _ = open_stores(replace(asked.config.data, stores=[asked.store]))
    if len(movies) > 1:
        raise asked.several(len(movies))
    ahead = forecast_movie(
        saved, movies[0], leads=asked.leads, at=asked.at, mix=asked.config.data.mix
    )
    held = load_half_widths(asked.run, saved.weights_hash)
    write_forecast(ahead, asked.out, None if held is None else held.half)
    interval = ahead.attrs["frame_interval_s"]
    until = f" ({duration_text(interval * asked.leads)} ahead)" if interval else ""
    print(f"{asked.leads} frames after frame {ahead.attrs['last_frame_given']}{until}: {asked.out}")


if __name__ == "__main__":
    run_command(main)
