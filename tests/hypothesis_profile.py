"""One way to run Hypothesis here: the same examples each time, and no clock."""

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Settings for a property that is tried on `count` examples."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        # Its measure is the clock.
        suppress_health_check=[HealthCheck.too_slow],
    )
