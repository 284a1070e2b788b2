"""An environment that takes its time, so that a run can be met between two of its moments."""

import time

import gymnasium


class SlowSteps(gymnasium.Wrapper):
    """Takes a thousandth of a second for each step."""

    def step(self, action):
        time.sleep(0.001)
        return self.env.step(action)
