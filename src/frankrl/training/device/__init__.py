"""Rounds on the device: acting, stepping, storing and learning as one compiled program."""
