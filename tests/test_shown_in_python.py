"""What Python and notebooks show of a run, and the functions that are the commands' own."""

import base64
import html
import re
from pathlib import Path

import numpy as np
import pytest
from memoryless import memoryless

import frankrl
from frankrl.agent import Agent
from frankrl.cli.main import main
from frankrl.core.errors import FrankError
from frankrl.environments import describe
from frankrl.explaining.html import as_html
from frankrl.training.evaluation import Evaluation


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return frankrl.train(
        "CartPole-v1",
        preset="default",
        seed=2,
        out=tmp_path_factory.mktemp("shown") / "<b>run",
        hidden_widths=(8,),
        num_envs=4,
        total_env_steps=800,
        learning_starts_env_steps=100,
        evaluate_every_env_steps=400,
        evaluation_episodes=2,
        final_evaluation_episodes=3,
    )


def test_a_result_an_agent_and_an_evaluation_say_something_in_at_most_three_lines(result):
    agent = frankrl.load(result)
    evaluation = frankrl.evaluate(agent, episodes=2)
    of_result, of_agent, of_evaluation = map(repr, (result, agent, evaluation))
    assert max(len(text.splitlines()) for text in (of_result, of_agent, of_evaluation)) <= 3
    assert of_result.startswith(f"Finished after 800 env steps and {result.updates} updates")
    assert str(result.run) in of_result
    assert "evaluation of 3 episodes: mean return " in of_result
    assert of_agent == f"Agent of CartPole-v1, trained for 800 env steps: {result.run}"
    assert of_evaluation.startswith("Evaluation of 2 greedy episodes: mean return ")
    own = memoryless(lambda states, masks: states)
    assert repr(Agent(describe("CartPole-v1", {}), own, 0.1)) == "Agent of CartPole-v1"


def test_a_notebook_gets_the_curve_and_no_markup_of_a_name(result):
    for value in (result, frankrl.load(result)):
        page = value._repr_html_()
        assert "<svg" in page
        assert "<b>run" not in page
        assert html.escape("<b>run") in page
    assert "mean return" in Evaluation(np.ones(2), np.ones(2, int))._repr_html_()


def test_an_evaluation_of_one_episode_is_shown_too():
    assert "1 greedy episode: mean return 5" in repr(Evaluation(np.array([5.0]), np.array([7])))


def test_film_writes_what_the_command_writes_and_a_notebook_shows_it(result, tmp_path, capsys):
    made = frankrl.film(frankrl.load(result), out=tmp_path / "a.gif", seed=5)
    assert main(["film", str(result.run), "--out", str(tmp_path / "b.gif"), "--seed", "5"]) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert f"return {made.episodes[0].episode_return:.0f}" in capsys.readouterr().err
    assert base64.b64encode(made.path.read_bytes()).decode() in made._repr_html_()
    assert repr(made).startswith("Film of 1 episode, return ")


def test_a_film_of_a_run_lies_in_its_folder_and_is_shown_with_it(result):
    assert frankrl.film(result).path == result.run / "videos" / "000000000800-s0.mp4"
    assert "<video" in result._repr_html_()
    assert "<video" in frankrl.load(result)._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"episodes": 0}, "at least 1"),
        ({"episodes": True}, "at least 1"),
        ({"best": True}, "need a run"),
        ({"saliency": True}, "need a run"),
        ({"progress": 1}, "progress must be True or False"),
        ({"out": 3}, "must be a path"),
        ({"out": "film.avi"}, "mp4"),
    ],
)
def test_a_mistake_in_film_is_told(result, arguments, words):
    with pytest.raises(FrankError, match=words):
        frankrl.film(frankrl.load(result), **arguments)


def test_an_agent_of_no_run_needs_a_file_for_its_film():
    agent = Agent(describe("CartPole-v1", {}), memoryless(lambda states, masks: states[:, :2]), 0.1)
    with pytest.raises(FrankError, match="give out"):
        frankrl.film(agent)
    with pytest.raises(FrankError, match="of no run"):
        frankrl.plot(agent)


def test_plot_takes_a_run_in_every_form_and_several(result, tmp_path):
    agent = frankrl.load(result)
    assert frankrl.plot(result).path == result.run / "plot.png"
    pictures = [
        frankrl.plot(runs, out=tmp_path / f"{number}.png").path.read_bytes()
        for number, runs in enumerate((result, str(result.run), agent, [result.run]))
    ]
    assert len(set(pictures)) == 1
    assert frankrl.plot([result, agent], out=tmp_path / "two.png").path.exists()
    assert "<img" in frankrl.plot(result)._repr_html_()
    for nothing in ([], ()):
        with pytest.raises(FrankError, match="at least one run"):
            frankrl.plot(nothing)


def test_explain_gives_the_update_and_its_page(result, tmp_path):
    record = frankrl.explain(result, update=300, transition=3)
    assert repr(record).startswith("Update 300, done at env step ")
    assert re.search(r"mean target -?[\d.]+$", repr(record))
    page = tmp_path / "page.html"
    words = [
        "explain",
        str(result.run),
        "--update",
        "300",
        "--transition",
        "3",
        "--html",
        str(page),
    ]
    assert main(words) == 0
    assert as_html(record.document) == page.read_text("utf-8")
    frame = record._repr_html_()
    assert frame.startswith("<iframe sandbox srcdoc=")
    assert html.unescape(frame.split('"')[1]) == page.read_text("utf-8")
    with pytest.raises(FrankError, match="transition must be from 0 to 63"):
        frankrl.explain(result, update=300, transition=64)


def test_a_run_is_continued_from_its_result(result, tmp_path):
    again = frankrl.resume(result, total_env_steps=900)
    assert (again.run, again.env_steps) == (result.run, 900)


def test_a_dashboard_is_served_until_it_is_closed(tmp_path):
    pytest.importorskip("uvicorn")
    with frankrl.open_dashboard(tmp_path) as dashboard:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", dashboard.url)
        assert dashboard.url in dashboard._repr_html_()
    assert dashboard._process.poll() is not None
    with pytest.raises(FrankError, match="there is no folder"):
        frankrl.open_dashboard(Path("nowhere"))
