"""The study of offline learning: each of its commands is one that Frank takes."""

import pytest

from benchmarks.offline import ARMS, DATA, table
from frankrl.cli.parsing import parse
from frankrl.cli.train_options import TrainOptions
from frankrl.config.presets import default_preset, load_preset


@pytest.mark.parametrize("arm", ARMS)
def test_the_words_of_each_arm_are_settings_of_a_run_that_learns_from_data_alone(arm):
    env_id = "LunarLander-v3"
    defaults = TrainOptions.with_defaults(load_preset(default_preset(env_id)))
    words = [env_id, "--dataset", "data", *ARMS[arm]]
    options = parse(TrainOptions, words, "train", "", defaults)
    assert options.training.total_updates == 20_000
    assert options.evaluation.evaluate_every_updates is None
    assert options.learning.algorithm == ("bc" if arm == "bc" else "dqn")
    assert (options.learning.cql_weight > 0) == (arm == "cql")


def test_three_qualities_of_two_environments_are_made_by_two_commands_each(tmp_path):
    assert {name.split("/")[0] for name in DATA} == {"lander", "cartpole"}
    for name, collected in DATA.items():
        train, export = collected.commands(name, tmp_path / "data", tmp_path / "runs")
        assert train[:2] == ["train", collected.env_id]
        assert export[1] == train[-1]
        assert export[2:4] == ["--minari", name]


def test_the_table_has_the_mean_over_seeds_beside_the_datas():
    rows = [
        {
            "dataset": "lander/medium-v0",
            "arm": "bc",
            "seed": seed,
            "words": list(ARMS["bc"]),
            "mean_return": value,
            "data_mean_return": -14.4,
            "seconds": 10.0,
        }
        for seed, value in ((1, 20.0), (0, 10.0))
    ]
    last = table(rows, ["lander/medium-v0"]).splitlines()[-1]
    assert last == "| lander/medium-v0 | -14 | bc | 15 ± 5 | 10, 20 | 10 |"
