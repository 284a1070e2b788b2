"""Experiments: each tests a claim by changing one thing and keeping everything else equal."""

from frankrl.core.score import Score
from frankrl.experiments.claims import EXPERIMENTS, Arm, Experiment
from frankrl.experiments.results import ArmResult, results_of
from frankrl.experiments.study import Study, run_study

__all__ = [
    "EXPERIMENTS",
    "Arm",
    "ArmResult",
    "Experiment",
    "Score",
    "Study",
    "results_of",
    "run_study",
]
