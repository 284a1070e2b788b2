"""`frank train --init-from` as a person meets it."""

import pytest
from torch_archives import q_network, sb3_zip

from frankrl.cli.main import main
from frankrl.runs import RunFolder


@pytest.fixture
def agent(tmp_path):
    (tmp_path / "agent.zip").write_bytes(sb3_zip(q_network(4, 6, 2)))
    return tmp_path / "agent.zip"


def test_a_flag_that_is_given_wins_over_the_file_and_the_file_over_the_preset(
    agent, tmp_path, capsys
):
    words = ["train", "CartPole-v1", "--out", str(tmp_path / "run"), "--init-from", str(agent)]
    words += ["--total-env-steps", "16", "--final-evaluation-episodes", "none"]
    assert main([*words, "--layer-norm"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "hidden.0.layer.weight should be float32[4, 6] and is missing" in line
    assert line.endswith("it has layer_norm false (here true): give the same here")
    assert main(words) == 0
    shown = capsys.readouterr().err
    assert f"initial weights: {agent}, after 1,234 env steps; its network has hidden_w" in shown
    description = RunFolder.open(tmp_path / "run").description
    assert description.settings.network.hidden_widths == (6,)
    assert description.origin is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "run", "--init-from", "x"], "takes a run as it is: --init-from cannot"),
        (["--resume", "run", "--init-best"], "takes a run as it is: --init-best cannot"),
        (["CartPole-v1", "--init-best"], "give --init-from, too"),
        (["CartPole-v1", "--init-from", "x.zip"], "x.zip does not exist"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(words, message, capsys):
    assert main(["train", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
