"""The optimiser in words."""

from frankrl.config import LearningSettings
from frankrl.core.named_code import shown_name


def optimiser_in_words(settings: LearningSettings) -> str:
    """Its name as people know it."""
    steps = {"adam": "Adam", "radam": "rectified Adam", "sgd": "plain gradient descent"}
    return steps.get(settings.optimiser, f"your optimiser {shown_name(settings.optimiser)}")
