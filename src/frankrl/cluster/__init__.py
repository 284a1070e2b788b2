"""Runs on a cluster of machines, with Ray Core; the only folder that imports Ray."""
