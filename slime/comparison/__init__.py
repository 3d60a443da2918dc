"""Runs side by side on one page: scores, costs, settings, figures, and what is missing."""
