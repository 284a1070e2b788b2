"""Trackers: TensorBoard, Trackio, Weights & Biases, MLflow and others, beside a run.

A tracker gets names and numbers, off the training thread's time. It never changes a run: what it
does wrong is a warning.
"""

from frankrl.trackers.attached import Trackers
from frankrl.trackers.films import check_film_trackers, log_film
from frankrl.trackers.names import BUILT_IN, check_permitted, check_trackers
from frankrl.trackers.protocol import TrackedRun, Tracker

__all__ = [
    "BUILT_IN",
    "TrackedRun",
    "Tracker",
    "Trackers",
    "check_film_trackers",
    "check_permitted",
    "check_trackers",
    "log_film",
]
