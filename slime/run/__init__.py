"""A run: its folder, its facts and figures, and what it is worth."""
