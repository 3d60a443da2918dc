"""Loss landscapes of trained runs: python scripts/plot_landscape.py RUN [RUN ...] [key=value ...].

Planes and lines along random directions or Hessian eigenvectors, between runs, along a training;
the Hessian's spectrum. A grid that was stopped goes on. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from slime.arguments import wants_help
from slime.command import run_command
from slime.plots import save_figure
from slime.plots.landscape_lines import landscape_figures
from slime.plots.landscape_page import landscape_page
from slime.progress import bar
from slime.run.landscape_words import help_text, parse_words
from slime.run.landscapes import draw_grids, save_grids
from slime.run.opened import open_runs


def main(words: Sequence[str]) -> int:
    """Compute, save and draw what was asked for."""
    if wants_help(words):
        print(help_text())
        return 0
    paths, asked = parse_words(words)
    out = Path(asked.out) if asked.out else paths[0] / "landscapes"
    grids = draw_grids(open_runs(paths, asked, progress=bar), asked, out, progress=bar)
    for store, text in save_grids(grids, asked, out):
        print(f"{store}: {text}")
    for name, figure in landscape_figures(asked.label, grids).items():
        print(save_figure(figure, out / f"{name}.png"))
    for name, grid in grids.items() if asked.html else ():
        if isinstance(grid, xr.DataArray) and grid.ndim == 2:
            page = out / f"{asked.label}-{name}.html"
            print(landscape_page(grid, page, title=f"Loss landscape of {name}"))
    return 0


if __name__ == "__main__":
    run_command(main)
