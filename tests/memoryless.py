"""Q-functions that remember nothing, in the form in which agents and evaluations take them."""


def memoryless(q_values):
    """A function of observations and masks to Q-values as a `QValues`."""

    def of(observation, mask=None, *, memory=None):
        assert memory is None
        return q_values(observation, mask), None

    return of
