"""What goes wrong with the Hub is one sentence and exit status 2."""

import os
import subprocess
import sys

import pytest
from hub_stub import TOKEN, Repository

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import MissingExtraError
from frankrl.core.processes import searching


def push(run, *words):
    return main(["hub", "push", str(run), "jane/cart", "--no-film", *words])


def said(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_without_a_token_a_push_says_how_to_log_in(hub, run, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert push(run) == 2
    assert said(capsys).endswith(
        "there is no token of "
        f"{hub.url} on this machine: log in with `hf auth login`, or set HF_TOKEN"
    )
    assert not hub.repositories


def test_a_token_that_the_hub_does_not_know_is_named_before_any_work(hub, run, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert push(run, "--episodes", "100000") == 2
    assert "does not accept the token: log in" in said(capsys)
    assert not [request for request in hub.requests if "repos" in request]


def test_somebody_elses_repository_is_refused(hub, run, capsys):
    hub.repositories["bob/cart"] = Repository()
    words = ["hub", "push", str(run), "bob/cart", "--no-film"]
    assert main(words) == 2
    assert "the token may not do that with" in said(capsys)
    assert set(hub.repositories["bob/cart"].files()) == {".gitattributes"}


def test_a_push_that_the_hub_refuses_at_the_end_changes_nothing_there(hub, run, capsys):
    hub.failing["/commit/"] = (500, "")
    assert push(run) == 2
    assert "refused a request for jane/cart" in said(capsys)
    assert set(hub.repositories["jane/cart"].files()) == {".gitattributes"}


@pytest.mark.parametrize("token", [TOKEN, None])
def test_a_repository_that_is_not_there_is_named(hub, token, monkeypatch, capsys):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    assert main(["hub", "pull", "jane/cart"]) == 2
    assert f"there is no repository {hub.url}/jane/cart; if it is private, log in" in said(capsys)
    assert not os.listdir()


def test_a_private_repository_needs_its_owners_token(hub, monkeypatch, capsys):
    hub.repositories["jane/cart"] = Repository(private=True)
    monkeypatch.delenv("HF_TOKEN")
    assert main(["hub", "pull", "jane/cart"]) == 2
    assert "there is no repository" in said(capsys)


def test_a_gated_repository_says_where_to_accept_its_conditions(hub, capsys):
    hub.gated.add("jane/cart")
    assert main(["hub", "pull", "jane/cart"]) == 2
    assert f"{hub.url}/jane/cart is gated: accept its conditions" in said(capsys)


def test_a_revision_that_is_not_there_is_named(hub, capsys):
    hub.repositories["jane/cart"] = Repository()
    assert main(["hub", "pull", "jane/cart", "--revision", "v2"]) == 2
    assert "has no such revision" in said(capsys)


def test_too_many_requests_are_said(hub, capsys):
    hub.failing["/api/models"] = (429, "")
    assert main(["hub", "pull", "jane/cart"]) == 2
    assert "has had too many requests" in said(capsys)


def test_a_file_that_vanishes_during_a_pull_is_named(hub, run, capsys):
    frankrl.hub.push(run, "jane/cart", film=False)
    hub.failing["/resolve/"] = (404, "EntryNotFound")
    assert main(["hub", "pull", "jane/cart"]) == 2
    assert "lacks what was asked for" in said(capsys)
    assert not [name for _, _, names in os.walk(".") for name in names]


def test_without_a_network_the_hub_is_named(hub, run, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for ask in (lambda: main(["hub", "pull", "jane/cart"]), lambda: push(run)):
        assert ask() == 2
        assert "http://127.0.0.1:9 cannot be reached" in said(capsys)


def test_offline_mode_is_respected_and_named(hub, run, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for ask in (lambda: main(["hub", "pull", "jane/cart"]), lambda: push(run)):
        assert ask() == 2
        assert "is not asked because HF_HUB_OFFLINE is set" in said(capsys)
    assert hub.requests == []


def test_without_the_package_both_commands_say_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (["push", str(run), "jane/cart"], ["pull", "jane/cart"]):
        assert main(["hub", *words]) == 2
        assert 'install it with: pip install "frankrl[hub]"' in said(capsys)
    with pytest.raises(MissingExtraError):
        frankrl.hub.pull("jane/cart")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["pul"], "there is no command 'hub pul'; did you mean 'pull'? (commands: hub push, hub p"),
        (["pull"], "hub pull --help"),
        (["push", "x", "jane/cart"], "there is no run folder x"),
        (["push", "x", "jane/cart", "--privat"], "--privat"),
    ],
)
def test_what_was_typed_wrongly_is_said_in_one_line(hub, words, answer, capsys):
    assert main(["hub", *words]) == 2
    assert answer in said(capsys)


def test_hub_alone_and_its_help_list_both_commands(capsys):
    for words in (["hub"], ["hub", "--help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert "frank hub push" in text
        assert "frank hub pull" in text


def test_the_commands_as_processes_use_the_clients_own_variables(hub, run, tmp_path):
    variables = searching(sys.path) | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }

    def frank(*words):
        command = [sys.executable, "-m", "frankrl", "hub", *words]
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    done = frank("push", str(run), "jane/cart", "--no-film")
    assert done.stdout == f"{hub.url}/jane/cart\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("mean return ")
    done = frank("pull", "jane/cart")
    path = tmp_path / "runs" / "jane" / "cart"
    assert done.stdout == f"{path}\n"
    (line,) = done.stderr.splitlines()
    assert f"next: frank evaluate {path}" in line
    frankrl.load(path)
