"""The page in a real browser: headless Chromium, and every request that it makes."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import UPDATE
from dashboard_runs import make_run, served, wait_until, write_metrics
from hanging import HANGS_AFTER_SECONDS

from frankrl.core.figures import figure
from frankrl.runs import MetricsReader

pytestmark = pytest.mark.slow

VIEWS = ("learning", "watch", "update", "settings", "warnings")


@contextlib.contextmanager
def training(out, seed):
    """A training that runs until the block ends."""
    words = [
        *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "16", "8"),
        *("--num-envs=2", "--total-env-steps=50_000_000", "--learning-starts-env-steps=200"),
        *("--log-every-env-steps=200", "--checkpoint-every-env-steps=1000"),
        *("--evaluate-every-env-steps=50_000_000", f"--seed={seed}", f"--out={out}"),
    ]
    command = [sys.executable, "-m", "frankrl", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


NEWEST = (
    "(document.getElementById('plot-loss')?.data?.find((t) => t.mode === 'lines')?.x ?? []).at(-1)"
)


def newest_point(page):
    """The last point of the loss curve. [env steps]"""
    return page.evaluate(f"() => {NEWEST} ?? 0")


def wait_for_more(page, last):
    page.wait_for_function(f"last => ({NEWEST} ?? 0) > last", arg=last)


@pytest.mark.slow
def test_what_arrives_is_drawn_while_the_training_goes_on(tmp_path, open_page):
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(served(tmp_path))
        with training(tmp_path / "first", 0):
            wait_until((tmp_path / "first" / "metrics.sqlite").exists)
            page = stack.enter_context(open_page(port))
            last = 0
            for _ in range(4):
                wait_for_more(page, last)
                last = newest_point(page)
            assert page.get_by_text("running").count() > 0
        page.get_by_text("stopped on request").first.wait_for()


@pytest.mark.slow
def test_two_runs_are_laid_over_each_other_and_the_axis_is_switched(port, open_page):
    with open_page(port) as page:
        for name in ("cart/s0", "cart/s1"):
            page.get_by_label(f"show {name}").check()
        page.wait_for_function("() => document.querySelectorAll('.shown-runs li').length === 2")
        drawn = "() => document.getElementById('plot-loss').data.length"
        page.wait_for_function(f"{drawn} === 2")
        for label, title in (("updates", "updates"), ("seconds", "s"), ("env steps", "env steps")):
            page.get_by_label(label, exact=True).check()
            page.wait_for_function(
                "title => document.getElementById('plot-loss').layout.xaxis.title.text === title",
                arg=title,
            )
        page.get_by_label("group seeds").check()
        page.wait_for_function("() => document.querySelectorAll('.shown-runs li').length === 1")
        assert "2 seeds" in page.locator(".shown-runs").inner_text()
        page.wait_for_function(f"{drawn} === 3")


def test_curves_are_smoothed_and_drawn_on_a_logarithmic_axis(port, root, open_page):
    reader = MetricsReader(root / "cart" / "s0" / "metrics.sqlite")
    loss = [value for value in reader.columns("training")["loss"] if value is not None]
    reader.close()
    with open_page(port) as page:
        page.get_by_label("show cart/s1").uncheck()
        page.get_by_label("show cart/s0").check()
        drawn = "document.getElementById('plot-loss')"
        shown = "document.querySelector('.shown-runs').innerText"
        page.wait_for_function(f"() => {shown}.includes('cart/s0')")
        page.wait_for_function(f"() => {drawn}?.data?.length === 1")
        assert page.evaluate(f"{drawn}.data[0].y") == pytest.approx(loss, rel=1e-5)
        page.locator("#smoothing").select_option("5")
        near = [loss[max(0, at - 2) : at + 3] for at in range(len(loss))]
        first = sum(near[0]) / len(near[0])
        page.wait_for_function(
            f"first => Math.abs({drawn}.data[0].y[0] / first - 1) < 1e-4", arg=first
        )
        smooth = [sum(values) / len(values) for values in near]
        assert page.evaluate(f"{drawn}.data[0].y") == pytest.approx(smooth, rel=1e-4)
        page.get_by_label("logarithmic vertical axis").check()
        page.wait_for_function(f"() => {drawn}.layout.yaxis.type === 'log'")
        # TD errors are also negative.
        td_error = "document.getElementById('plot-td_error').layout.yaxis.type"
        assert page.evaluate(td_error) == "linear"
        assert "smoothing=5" in page.url
        assert "log=1" in page.url


@pytest.mark.slow
def test_settings_are_shown_and_those_in_which_runs_differ(port, open_page):
    with open_page(port) as page:
        for name in ("cart/s0", "cart/s1"):
            page.get_by_label(f"show {name}").check()
        page.locator("#view-settings").click()
        page.locator(".settings-table").wait_for()
        names = "[...document.querySelectorAll('.settings-table tbody th')].map((h) => h.innerText)"
        assert page.evaluate(names) == ["run.seed"]
        runs = page.locator(".settings-table thead th").all_inner_texts()[1:]
        seeds = page.locator(".settings-table td").all_inner_texts()
        assert dict(zip(runs, seeds, strict=True)) == {"cart/s0": "0", "cart/s1": "1"}
        page.locator("#all-settings").check()
        assert "learning.gamma" in page.evaluate(names)
        page.get_by_label("show cart/s1").uncheck()
        heads = "document.querySelectorAll('.settings-table thead th').length"
        page.wait_for_function(f"() => {heads} === 2")
        row = page.locator(".settings-table tr", has_text="replay.n_step")
        assert row.locator("td").inner_text() == "3"


def test_the_final_evaluation_and_the_training_return_are_both_named(port, root, open_page):
    report = json.loads((root / "cart" / "s0" / "report.json").read_text())
    low, high = report["evaluation"]["interval_95"]
    expected = figure(report["evaluation"]["mean_return"], (high - low) / 2)
    with open_page(port) as page:
        head = page.locator("#runs thead").inner_text()
        assert "training return" in head
        assert "final evaluation" in head
        row = page.locator("#runs tbody tr", has_text="cart/s0").first
        assert row.locator("td").nth(7).inner_text() == expected


@pytest.mark.slow
def test_the_distribution_of_the_td_errors_is_drawn_and_described(port, root, open_page):
    reader = MetricsReader(root / "cart" / "s0" / "metrics.sqlite")
    recorded = reader.columns("training")
    reader.close()
    with open_page(port) as page:
        page.get_by_label("show cart/s1").uncheck()
        page.get_by_label("show cart/s0").check()
        # The list of runs changes before the curves come.
        median = next(value for value in recorded["td_error_p50"] if value is not None)
        page.wait_for_function(
            """(first) => (document.getElementById('plot-td_error')?.data || []).some(
                ({name, y}) => name === 'median' && Math.abs(y[0] - first) < 1e-5 * first)""",
            arg=median,
        )
        panel = page.locator("figure", has=page.locator("#panel-td_error"))
        drawn = page.evaluate("document.getElementById('plot-td_error').data")
        named = {trace["name"]: trace for trace in drawn if "name" in trace}
        for name, column in (("median", "p50"), ("middle 50 %", "p75"), ("middle 90 %", "p95")):
            values = recorded[f"td_error_{column}"]
            expected = [value for value in values if value is not None]
            assert named[name]["y"] == pytest.approx(expected, rel=1e-5, abs=1e-9)
        words = panel.locator(".latest").inner_text()
        assert words.startswith("now: median ")
        assert written(recorded["td_error_max"][-1]) in words


@pytest.mark.slow
def test_the_unit_of_rescaled_q_values_is_told(tmp_path, open_page):
    row = {"env_steps": [100], "loss": [1.0], "mean_q": [2.0], "mean_max_q": [2.0]}
    row |= {"td_error_p50": [0.1], "mean_return_100": [9.0], "mean_length_100": [9.0]}
    for name, rescaled in (("plain", False), ("rescaled", True)):
        run = make_run(tmp_path / name, value_rescaling=rescaled)
        write_metrics(run, training=row)
    with served(tmp_path) as port, open_page(port) as page:
        for name, other, unit in (
            ("rescaled", "plain", "h(reward)"),
            ("plain", "rescaled", "reward"),
        ):
            page.get_by_label(f"show {other}").uncheck()
            page.get_by_label(f"show {name}").check()
            for panel, shown in (("loss", f"{unit}², or as set"), ("q", unit)):
                page.wait_for_function(
                    "([id, text]) => document.getElementById(id)?.innerText.endsWith(text)",
                    arg=[f"panel-{panel}", f"[{shown}]"],
                )
        figure = page.locator("figure", has=page.locator("#panel-q"))
        assert "value_rescaling" not in figure.inner_text()


def written(value):
    """A number in the format of the page."""
    return f"{float(f'{value:.4g}'):g}"


@pytest.mark.slow
def test_a_warning_links_to_its_section_in_the_documentation(tmp_path, browser):
    run = make_run(tmp_path / "run", epsilon_decay_env_steps=1, learning_starts_env_steps=90)
    write_metrics(run, training={"env_steps": [100]})
    with served(tmp_path) as port:
        page = browser.new_page()
        # Straight to the view, as by an address that somebody has kept.
        page.goto(f"http://127.0.0.1:{port}/#view=warnings")
        page.get_by_text("holds no checkpoint").wait_for()
        with page.expect_popup() as opened:
            page.get_by_role("link", name="What this means: ε has decayed").click()
        words = opened.value
        assert words.url.endswith("/page/warnings.html#epsilon-done-early")
        assert words.locator("#epsilon-done-early").inner_text() == (
            "ε has decayed before learning starts"
        )
        words.close()
        page.close()


@pytest.mark.slow
def test_warnings_are_those_of_the_chosen_run(tmp_path, browser):
    for name in ("a", "b"):
        write_metrics(make_run(tmp_path / name), training={"env_steps": [100]})
    with served(tmp_path) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/#view=warnings")
        for name in ("a", "b"):
            page.get_by_label(f"show {name}").check()
        for name in ("a", "b", "a"):
            page.locator("#focus").select_option(label=name)
            page.get_by_text("No warnings from the metrics and settings.").wait_for()
        page.close()


@pytest.mark.slow
def test_a_run_that_cannot_be_read_has_a_note_and_the_others_are_drawn(root, tmp_path, open_page):
    shutil.copytree(root / "cart" / "s0", tmp_path / "good")
    shutil.copytree(root / "cart" / "s1", tmp_path / "bad")
    (tmp_path / "bad" / "metrics.sqlite").write_bytes(b"no database" * 99)
    with served(tmp_path) as port, open_page(port) as page:
        for name in ("good", "bad"):
            page.get_by_label(f"show {name}").check()
        page.locator("#plot-loss .main-svg").first.wait_for()
        for place in ("#runs", "#view"):
            page.locator(place).get_by_text("cannot be read").first.wait_for()


@pytest.mark.slow
def test_a_view_that_has_been_left_asks_for_nothing(tmp_path, browser):
    with served(tmp_path) as port, training(tmp_path / "run", 0):
        wait_until((tmp_path / "run" / "metrics.sqlite").exists)
        page = browser.new_page()
        page.set_default_timeout(1_000 * HANGS_AFTER_SECONDS)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        wait_for_more(page, 0)
        page.locator("#view-update").click()
        page.wait_for_load_state()
        asked.clear()
        # The table goes on: the run's env steps are those of a later event.
        steps = "() => document.querySelector('#runs tbody tr').cells[6].textContent"
        for _ in range(3):
            before = page.evaluate(steps)
            page.wait_for_function(f"before => ({steps})() !== before", arg=before)
        assert [url for url in asked if "/curves" in url] == []
        page.close()


@pytest.mark.slow
def test_the_focus_and_the_page_stay_where_they_are_while_rows_change(tmp_path, open_page):
    with served(tmp_path) as port, training(tmp_path / "run", 0):
        wait_until((tmp_path / "run" / "metrics.sqlite").exists)
        with open_page(port, width=390) as page:
            wait_for_more(page, 0)
            page.locator("#sort-name").click()
            page.evaluate("scrollTo(0, 500)")
            head = page.locator("#sort-name").element_handle()
            wait_for_more(page, newest_point(page))
            wait_for_more(page, newest_point(page))
            assert page.evaluate("scrollY") == 500
            assert page.evaluate("document.activeElement.id") == "sort-name"
            assert head.evaluate("element => element.isConnected")


def test_runs_are_sorted_and_filtered_by_the_keyboard(port, open_page):
    with open_page(port) as page:
        names = "[...document.querySelectorAll('#runs tbody th label')].map((l) => l.textContent)"
        page.locator("#sort-name").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(names) == ["cart/s0", "cart/s1"]
        assert page.locator("th[aria-sort=ascending]").inner_text().startswith("run")
        page.keyboard.press("Enter")
        assert page.evaluate(names) == ["cart/s1", "cart/s0"]
        assert page.evaluate("document.activeElement.id") == "sort-name"
        page.locator("#filter").focus()
        page.keyboard.type("seed 1")
        assert page.evaluate(names) == ["cart/s1"]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "group"
        page.locator("#filter").fill("nothing like it")
        assert "Clear the filter" in page.locator("#runs").inner_text()


@pytest.mark.slow
def test_an_episode_is_watched_step_by_step(port, open_page):
    with open_page(port) as page:
        page.locator("#view-watch").click()
        page.locator("#play-episode").click()
        page.locator("#predicted-q").wait_for()
        page.locator("#toggle").click()
        slider = page.get_by_label("step of the episode")
        slider.fill("0")
        before = page.locator(".player .picture").get_attribute("src")
        assert page.locator(".figure b").first.inner_text().startswith("0 of ")
        page.locator("#forward").click()
        assert page.locator(".figure b").first.inner_text().startswith("1 of ")
        assert page.locator(".player .picture").get_attribute("src") != before
        page.wait_for_function("() => document.querySelector('.player .picture').naturalWidth > 0")
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".figure b").first.inner_text().startswith("2 of ")
        # Every step of CartPole brings 1.
        assert page.locator(".figure b").last.inner_text() == "2"
        assert page.locator(".values .scale").inner_text().startswith("Q − max Q, ")
        slider.fill(slider.get_attribute("max"))
        reward = page.locator(".figure", has_text="reward of the last step")
        assert reward.locator("b").inner_text() == "1"
        slider.fill("2")
        assert (
            page.locator(".thoughts .marked").inner_text().startswith(("push left", "push right"))
        )
        assert page.locator(".state-table th").all_inner_texts() == [
            *("position", "speed", "angle", "angular speed"),
        ]
        page.get_by_text("Another seed").click()
        page.locator("#predicted-q").wait_for()


@pytest.mark.slow
def test_what_the_network_sees_is_shown_in_an_episode_and_in_an_update(seeing, open_page):
    with served(seeing.path.parent) as port, open_page(port) as page:
        page.locator("#view-watch").click()
        page.locator("#play-episode").click()
        page.locator("#predicted-q").wait_for()
        page.locator("#toggle").click()
        slider = page.get_by_label("step of the episode")
        seen = page.locator(".sight img")
        for step in ("0", "2"):
            slider.fill(step)
            page.wait_for_function("() => document.querySelector('.sight img').complete")
            size = "(image) => [image.naturalWidth, image.naturalHeight]"
            assert seen.evaluate(size) == [10 + 1 + 10, 10]
            assert seen.get_attribute("alt").endswith(f"after {step} steps")
        words = "What the network sees: the newest 2 observations, the oldest first"
        assert page.locator(".sight figcaption").inner_text() == words
        assert page.locator(".state-table").count() == 0
        page.locator("#view-update").click()
        page.locator("#update-number").fill("5")
        page.locator("#open-update").click()
        page.locator(".narrative .pictures img").first.wait_for()
        loaded = "[...document.querySelectorAll('.narrative img')].map((i) => i.naturalWidth)"
        page.wait_for_function(f"() => {loaded}.every((width) => width === 10)")
        assert page.evaluate(loaded) == [10] * 4
        # Its policy lets the page load files of its own server only.
        sources = page.locator(".narrative img").evaluate_all("(all) => all.map((i) => i.src)")
        assert all(source.startswith(f"http://127.0.0.1:{port}/pieces/") for source in sources)


@pytest.mark.slow
def test_an_update_has_the_numbers_of_frank_explain(port, open_page, explained):
    with open_page(port) as page:
        page.get_by_label("show cart/s0").check()
        page.locator("#view-update").click()
        page.locator("#update-number").fill(str(UPDATE))
        page.locator("#open-update").click()
        page.locator("#q-value").wait_for()
        for index in (0, 31):
            page.locator("#transition").select_option(str(index))
            page.wait_for_function(
                "text => document.querySelector('.narrative')?.textContent.includes(text)",
                arg=f"transition {index} of 32",
            )
            shown = {name: float(page.locator(f"#{name}").inner_text()) for name in SHOWN}
            expected = {name: explained[key][index] for name, key in SHOWN.items()}
            assert shown == pytest.approx(expected, rel=1e-3)
            tables = page.locator(".prediction .values")
            for table, key in ((0, "q_values"), (1, "target_q_values")):
                cells = tables.nth(table).locator("td.number").all_inner_texts()
                numbers = [float(cell.replace(",", "")) for cell in cells]
                assert numbers == pytest.approx(explained[key][index], rel=1e-3)
        title = page.locator("#update-title").inner_text()
        assert title == f"Update {UPDATE}, done at env step {explained['env_steps']}"


SHOWN = {"q-value": "chosen_q", "target": "targets", "td-error": "td_errors", "loss": "losses"}


@pytest.mark.slow
@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_is_wrong_for_people_with_disabilities(port, open_page, width, colours):
    with open_page(port, width=width, colours=colours) as page:
        for name in ("cart/s1", "cart/s0"):
            page.get_by_label(f"show {name}").check()
        ready = {
            "learning": "#plot-loss .main-svg",
            "watch": "#predicted-q",
            "update": "#q-value",
            "settings": ".settings-table",
            "warnings": "text=Newest checkpoint",
        }
        for view in VIEWS:
            page.locator(f"#view-{view}").click()
            if view == "update":
                page.locator("#update-number").fill(str(UPDATE))
            if view in ("watch", "update"):
                page.locator({"watch": "#play-episode", "update": "#open-update"}[view]).click()
            page.locator(ready[view]).first.wait_for()
            violations = Axe().run(page).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"][:200])
                for one in violations
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], view
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


@pytest.mark.slow
def test_an_empty_folder_says_what_to_do(tmp_path, browser):
    with served(tmp_path) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("frank train CartPole-v1").wait_for()
        notes = {
            "learning": "Curves appear here once there is a run.",
            "watch": "There is no run here yet. Start one with frank train.",
            "update": "There is no run here yet. Start one with frank train.",
            "settings": "Select one or several runs in the table to see their settings.",
            "warnings": "There is no run here yet. Start one with frank train.",
        }
        for view in VIEWS:
            page.locator(f"#view-{view}").click()
            page.locator("#view").get_by_text(notes[view]).wait_for()
        page.close()
