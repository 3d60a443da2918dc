"""Figures: axes in, axes out, or a Figure where several axes are needed; pyplot is not touched."""

from slime.example import Example
from slime.figure_style import save_figure
from slime.landscape_plot import landscape_contour
from slime.pictures import error_norm, forecast_strip, gray_limits, movie_frames
from slime.skill_curves import skill_by_lead
from slime.split_plot import split_bars
from slime.texts import duration_text, number_text
from slime.training_curves import learning_curves

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
