"""Showing runs: on the terminal, as a film, as a plot."""
