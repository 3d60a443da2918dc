"""Worlds with known truth, filmed by a camera and streamed to zarr."""

from slime.simulate.movie_header import told_steps
from slime.simulate.movies import list_settings, make_movies

__all__ = ["list_settings", "make_movies", "told_steps"]
