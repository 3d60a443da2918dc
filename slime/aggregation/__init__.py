"""Where will they aggregate: mound centres from the first frames, learned, rolled out and guessed.

Whole movies are held out. Places are y, x in um, pixel (0, 0) with its middle at 0.
"""

from slime.aggregation.dishes import Dish, read_dishes
from slime.aggregation.forecasts import Nets, all_found, train_nets
from slime.aggregation.found import Found
from slime.aggregation.heatmap import Peaks, find_peaks, heat_map
from slime.aggregation.scores import score_rows, summary_table
from slime.aggregation.spec import AggregationSpec
from slime.aggregation.study import Study, make_study
from slime.aggregation.summaries import summary_planes, turned_planes
from slime.aggregation.words import check_folder, help_text, parse_words, with_movies, write_config

__all__ = [
    "AggregationSpec",
    "Dish",
    "Found",
    "Nets",
    "Peaks",
    "Study",
    "all_found",
    "check_folder",
    "find_peaks",
    "heat_map",
    "help_text",
    "make_study",
    "parse_words",
    "read_dishes",
    "score_rows",
    "summary_planes",
    "summary_table",
    "train_nets",
    "turned_planes",
    "with_movies",
    "write_config",
]
