"""The data set of a run: opened as it begins; from then on its checkpoints hold the data."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.config import Settings
from frankrl.core.absent import absent_env
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted, figure
from frankrl.core.paths import given_path
from frankrl.core.types import Params
from frankrl.core.wording import option
from frankrl.datasets import DataSet, open_dataset
from frankrl.environments import EnvironmentSpec, described_by_data
from frankrl.experience.dataset import DataSource, check_fits, whole_episodes
from frankrl.replay import ReplayBuffer, ReplayState, WholeEpisodes, filled
from frankrl.runs import DataOrigin, RunDescription, RunFolder
from frankrl.runs.group import RunGroup, is_group
from frankrl.training.initial_state import init_train_state
from frankrl.training.memory import check_data
from frankrl.training.replay_place import made_in_place
from frankrl.training.state import Experiment, TrainState

_OF_EVALUATIONS = (
    *("evaluate_every_updates", "evaluation_episodes", "final_evaluation_episodes"),
    *("evaluation_max_episode_steps", "until_solved"),
)
"""Settings that say how a policy is played."""


class ReadData(NamedTuple):
    """The content of the data set of a run that begins."""

    digest: str
    episodes: WholeEpisodes
    note: str
    """What the data are, a line for people."""

    def make_source(self, experiment: Experiment) -> DataSource:
        """The source of a run that does not act."""
        return DataSource(experiment.settings, experiment.spec, self.digest, self.episodes)

    def make_state(self, experiment: Experiment, initial: Params | None = None) -> TrainState:
        """As `init_train_state`, with the data in their buffer."""
        state = init_train_state(experiment, initial)
        if experiment.demonstrations is None:
            return state._replace(replay=self._filled(experiment, experiment.replay))
        return state._replace(demonstrations=self._filled(experiment, experiment.demonstrations))

    def _filled(self, experiment: Experiment, buffer: ReplayBuffer) -> ReplayState:
        return made_in_place(experiment, lambda: filled(buffer, self.episodes))


def in_any_folder(dataset: str) -> str:
    """A data set's name that means the same one wherever the run goes on: a folder from the root
    on, and a name in Minari's folder as it is."""
    folder = given_path(dataset, option("dataset")).absolute()
    return str(folder) if os.path.exists(folder) else dataset


def check_same_in_group(run: Path, dataset: DataSet) -> None:
    """Refuse other data than those of the runs of several seeds of which a run is one.

    Args:
        run: the folder of the run that begins.
        dataset: its data set.

    Raises:
        SettingError: another run of its group learned from other data.
    """
    if not is_group(run.parent):
        return
    group = RunGroup.open(run.parent)
    if run not in [group.path_of(seed).absolute() for seed in group.seeds]:
        return
    for other in group.begun():
        data = RunFolder.open(other).description.data
        if other.absolute() != run and data is not None and data.digest != dataset.digest:
            raise SettingError(
                f"the runs in {run.parent} differ in nothing but their seeds, and {other.name} "
                f"learned from other data than {dataset.folder} holds now (SHA-256 "
                f"{data.digest[:12]}…, now {dataset.digest[:12]}…): put those back, or begin anew "
                f"with another {option('out')}"
            )


def open_data(settings: Settings) -> DataSet | None:
    """The data set that settings name; None if they name none.

    Raises:
        SettingError: there is none, or it cannot be read.
        MissingExtraError: its extra is not installed.
    """
    return None if settings.data.dataset is None else open_dataset(settings.data.dataset)


def without_environment(
    dataset: DataSet | None, settings: Settings
) -> tuple[str, Settings, EnvironmentSpec]:
    """What a run is made from that has no environment: its name for it, settings, and spaces.

    Args:
        dataset: the data set that it learns from.
        settings: its settings, of which evaluations are left out.

    Raises:
        SettingError: it needs an environment.
    """
    if dataset is None or not settings.is_offline:
        raise SettingError(
            "name an environment, such as CartPole-v1; only a run that learns from a data set "
            "alone (dataset, without demonstration_share) can do without one"
        )
    settings = settings.with_changes(evaluate_every_updates=None, final_evaluation_episodes=None)
    env_id = absent_env(dataset.name)
    has_masks = next(dataset.episodes()).masks is not None
    spaces = dataset.observation_space, dataset.action_space
    return env_id, settings, described_by_data(env_id, *spaces, settings, has_masks=has_masks)


def refuse_evaluations(named: Mapping[str, Any]) -> None:
    """Refuse evaluations that were asked for where no environment is.

    Args:
        named: the settings that the user named, and their values.

    Raises:
        SettingError: one of them is of evaluations.
    """
    if named.get("demonstration_share"):
        return  # Such a run acts, so it is refused as a whole.
    for name in _OF_EVALUATIONS:
        if named.get(name) not in (None, False):
            raise SettingError(
                f"{option(name)} is for evaluations, and without an environment nothing is played: "
                "name the environment, or leave it out; the run ends with an estimate "
                "(final_estimate_updates)"
            )


def read_data(dataset: DataSet, experiment: Experiment) -> ReadData:
    """The content of the data set of a run that begins.

    Raises:
        SettingError: it does not fit the environment, or its files have changed since.
        MachineError: it does not fit into memory.
    """
    spec = experiment.spec
    check_fits(dataset, spec)
    check_data(experiment)
    episodes = whole_episodes(dataset, spec, experiment.settings)
    return ReadData(dataset.digest, episodes, _note(dataset))


def _note(dataset: DataSet) -> str:
    episodes, steps = counted(dataset.num_episodes, "episode"), counted(dataset.num_steps, "step")
    return (
        f"data set {dataset.name}: {steps} of {episodes}, mean return {figure(dataset.mean_return)}"
    )


def origin_of(dataset: DataSet) -> DataOrigin:
    """A data set as a run's description names it."""
    return DataOrigin(
        dataset.name,
        dataset.digest,
        dataset.num_episodes,
        dataset.num_steps,
        dataset.mean_return,
    )


def restored_data(experiment: Experiment) -> DataSource:
    """The source of a run that continues without acting: its checkpoint holds the rest."""
    assert experiment.data is not None, "the data set of the run is not known"
    return DataSource(experiment.settings, experiment.spec, experiment.data.digest, None)


def same_data(description: RunDescription, given: str | None) -> DataSet:
    """The data set that a run learns from, opened for a run that continues.

    Args:
        description: the run's.
        given: the data set that was named in this command; others are refused.

    Raises:
        SettingError: it is another one, or cannot be read.
    """
    data = description.data
    if data is None:
        raise SettingError(
            f"the run learns from no data set, and a run that continues keeps its settings: leave "
            f"{option('dataset')} out, or begin a new run"
        )
    if given is None:
        raise SettingError(
            f"the run learns from the data set {data.name}, and a run that continues keeps its "
            f"settings: leave {option('dataset')} out"
        )
    dataset = open_dataset(given)
    if dataset.digest != data.digest:
        raise SettingError(
            f"the run learns from the data set {data.name} of {data.num_steps:,} steps (SHA-256 "
            f"{data.digest[:12]}…), and {given} holds other data ({dataset.num_steps:,} steps, "
            f"{dataset.digest[:12]}…): leave {option('dataset')} out, since its checkpoints hold "
            "the data, or begin a new run"
        )
    return dataset
