"""Rounds on the device: acting, stepping, storing and learning as one compiled program.

Only a run on the device imports this package, so that no other pays for it.
"""
