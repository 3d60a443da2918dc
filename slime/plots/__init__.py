"""Figures: axes in, axes out, or a Figure where several axes are needed; pyplot is not touched."""

from slime.example import Example
from slime.plots.landscape import landscape_contour
from slime.plots.pictures import error_norm, forecast_strip, gray_limits, movie_frames
from slime.plots.skill import skill_by_lead
from slime.plots.splits import split_bars
from slime.plots.style import save_figure
from slime.plots.training import learning_curves
from slime.texts import duration_text, number_text

__all__ = [
    "Example",
    "duration_text",
    "error_norm",
    "forecast_strip",
    "gray_limits",
    "landscape_contour",
    "learning_curves",
    "movie_frames",
    "number_text",
    "save_figure",
    "skill_by_lead",
    "split_bars",
]
