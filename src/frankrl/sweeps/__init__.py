"""Sweeps: trials of settings over several seeds, in search of the best ones."""
