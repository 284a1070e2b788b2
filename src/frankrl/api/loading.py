"""`frankrl.load`: the agent of a run."""

import os
from typing import Any

from frankrl.agent import Agent
from frankrl.api.arguments import check_switches
from frankrl.config import check_code_names
from frankrl.opening import open_agent, open_run
from frankrl.training.result import TrainingResult


def load(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    best: bool = False,
    allow_code: bool = False,
    **code: Any,
) -> Agent:
    """The agent of a run. It needs no environment, and imports nothing that the run names but a
    network or a torso of the user's own.

    Args:
        run: the run, by its folder or its result.
        best: load the agent with the best evaluation during training instead of the newest
            checkpoint. That evaluation is short, so evaluate the agent again on other seeds.
        allow_code: import whatever network or torso the run names, although somebody else wrote it.
        **code: `network` or `torso`, as it was given to `train`. It is needed if it has no name to
            import it by, or if somebody else wrote the run.

    Raises:
        RunFolderError: there is no run, or it holds no usable checkpoint, or it names code of
            somebody else.
        SettingError: the network or the torso is not that of the run, or cannot be used.
    """
    check_switches(best=best)
    check_code_names(code)
    return open_agent(open_run(run, None, allow_code, code), best=best)[0]
