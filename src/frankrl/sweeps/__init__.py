"""Sweeps: trials of settings, each a few runs, and what they gave."""
