import contextlib
import io
import json
import os
import shutil

import pytest
from dashboard_runs import served
from hanging import HANGS_AFTER_SECONDS

import frankrl
from frankrl.cli.main import main as frank
from frankrl.runs import RunFolder

UPDATE = 123
"""The update that the tests open; opening one takes seconds."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Plotly asks once whether it may style the page itself; the page's policy says no.
KNOWN = "Applying inline style violates"

TRAINED = [
    *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "16", "8"),
    *("--num-envs=2", "--n-step=3", "--double", "--total-env-steps=600"),
    *("--learning-starts-env-steps=100", "--target-period-updates=50", "--batch-size=32"),
    *("--log-every-env-steps=100", "--checkpoint-every-env-steps=300"),
    *("--evaluation-episodes=2", "--final-evaluation-episodes=2"),
]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A folder with two trained runs that differ only in their seed."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        words = [*TRAINED, f"--seed={seed}", "--out", str(root / "cart" / f"s{seed}")]
        assert frank(words) == 0
    return root


@pytest.fixture(scope="session")
def port(root):
    """The port of a dashboard that serves these runs."""
    with served(root) as port:
        yield port


@pytest.fixture(scope="session")
def explained(root):
    """The output of `frank explain --json` for an update of the first run."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        words = ["explain", str(root / "cart" / "s0"), "--update", str(UPDATE), "--json"]
        assert frank(words) == 0
    return json.loads(printed.getvalue())


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """A run whose network sees two pictures at a time, alone below its folder."""
    path = tmp_path_factory.mktemp("seeing") / "run"
    frankrl.train(
        "MinAtar/Breakout-v1",
        preset="default",
        out=path,
        frame_stack=2,
        hidden_widths=(8,),
        batch_size=3,
        total_env_steps=60,
        learning_starts_env_steps=20,
        final_evaluation_episodes=None,
    )
    return RunFolder.open(path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser that keeps what it has compiled of Plotly: a second for each page."""
    from playwright.sync_api import sync_playwright

    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        path = installed or playwright.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("no Chromium is installed: apt-get install chromium")
        browser = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a dashboard; the page may request nothing elsewhere and log no error."""

    @contextlib.contextmanager
    def opened(port, *, width=1280, colours="light", ready="#runs tbody tr"):
        page = browser.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=colours)
        page.set_default_timeout(1_000 * HANGS_AFTER_SECONDS)
        address, requests, wrong = f"http://127.0.0.1:{port}/", [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(address)
        page.wait_for_selector(ready)
        yield page
        page.close()
        assert [url for url in requests if not url.startswith(address)] == []
        assert [text for text in wrong if KNOWN not in text] == []

    return opened
