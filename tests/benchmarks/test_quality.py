"""The studies of quality: what they train, how they go on, and what their table says."""

import dataclasses

import pytest

from benchmarks import quality
from benchmarks.quality import MINATAR, STUDIES, returns_table, training_words
from frankrl.cli.parsing import parse
from frankrl.cli.train_options import TrainOptions
from frankrl.config import Settings
from frankrl.config.presets import default_preset, load_preset
from frankrl.runs.description import RunDescription
from frankrl.runs.folder import RunFolder

GAMES = {"Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"}


def result(study: str, seed: int, mean: float) -> dict:
    return {
        "study": study,
        "seed": seed,
        "mean_return": mean,
        "best_evaluation_mean_return": mean,
        "env_steps": STUDIES[study].settings().training.total_env_steps,
        "seconds": 100.0,
    }


def test_each_game_of_minatar_is_studied_with_one_and_with_five_million_env_steps():
    studies = [STUDIES[name] for name in MINATAR]
    budgets = {(study.env_id, study.settings().training.total_env_steps) for study in studies}
    assert budgets == {
        (f"MinAtar/{game}-v1", steps) for game in GAMES for steps in (1_000_000, 5_000_000)
    }
    assert all(list(study.seeds) == [0, 1, 2, 3, 4] for study in studies)
    assert all(study.settings().evaluation.final_evaluation_episodes == 100 for study in studies)
    assert not set(MINATAR) & set(quality.Options().studies)


@pytest.mark.parametrize("name", STUDIES)
def test_the_command_of_a_run_means_the_settings_of_its_study(name, tmp_path):
    study = STUDIES[name]
    command, *words = training_words(study, 3, tmp_path / "run")
    defaults = TrainOptions.with_defaults(load_preset(study.preset))
    options = parse(TrainOptions, words, command, "", defaults)
    assert (options.env, options.preset, options.seed) == (study.env_id, study.preset, 3)
    groups = (spec.name for spec in dataclasses.fields(Settings))
    assert Settings(**{name: getattr(options, name) for name in groups}) == study.settings()


def test_the_preset_of_the_studies_is_the_one_that_a_game_has_by_itself():
    assert all(STUDIES[name].preset == default_preset(STUDIES[name].env_id) for name in MINATAR)


@pytest.mark.parametrize(
    ("changes", "has_checkpoint", "goes_on"),
    [({}, True, True), ({}, False, False), ({"learning_rate": 1e-2}, True, False)],
)
def test_an_interrupted_run_goes_on_if_it_has_a_checkpoint_and_the_settings_of_today(
    changes, has_checkpoint, goes_on, tmp_path
):
    study = STUDIES["minatar-breakout"]
    # A run stores where its environments are stepped.
    settings = study.settings().with_changes(source="host", **changes).resolved()
    path = tmp_path / "run"
    folder = RunFolder.create(path, RunDescription(study.env_id, study.preset, 3, settings))
    if has_checkpoint:
        (folder.checkpoints / "000000250000").mkdir()
    resumed = ["train", "--resume", str(path), "--json"]
    assert (training_words(study, 3, path) == resumed) == goes_on


def test_the_table_counts_the_seeds_at_the_mark():
    means = (21.26, 19.9, 20.0)
    rows = [result("minatar-breakout", seed, mean) for seed, mean in enumerate(means)]
    assert returns_table(rows).splitlines()[2] == (
        "| minatar-breakout | 1,000,000 | 21.3, 19.9, 20.0 | 20.0 | 20.4 ± 0.6 | 20.4 ± 0.6 | "
        "2 of 3 | 100 | mean ≥ 20 in ≤ 600 s |"
    )


def test_the_table_counts_nothing_where_there_is_no_mark():
    line = returns_table([result("minatar-freeway", 0, 50.0)]).splitlines()[2]
    assert line.split(" | ")[6] == "–"


def test_the_table_knows_the_threshold_of_an_environment_that_names_one():
    rows = [result("lunar-lander", seed, mean) for seed, mean in enumerate((199.6, 250.4))]
    assert "| 200, 250 |" in (table := returns_table(rows))
    assert "| 1 of 2 |" in table
