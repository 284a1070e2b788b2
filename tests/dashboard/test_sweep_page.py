"""Sweeps on the page, in a real browser."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard_published import publish
from dashboard_runs import make_run, served, write_metrics
from dashboard_sweeps import add_trial, made_up_trial, make_sweep

pytestmark = pytest.mark.slow

MADE = 30
LINES = "document.querySelectorAll('.coordinates path.trial').length"
NUMBERS = (
    "[...document.querySelectorAll('.trials-table tbody tr')].map((r) => +r.cells[0].innerText)"
)


@pytest.fixture(scope="module")
def sweep_port(tmp_path_factory):
    """A dashboard of a run and a sweep of 40 trials, of which 30 are made and one has runs."""
    root = tmp_path_factory.mktemp("sweeps")
    write_metrics(make_run(root / "alone"), training={"env_steps": [100]})
    make_sweep(root / "cart", trials=40, made=MADE)
    for seed in (100, 101):
        run = make_run(root / "cart" / "runs" / f"0003-s{seed}", seed=seed)
        write_metrics(run, training={"env_steps": [100, 200], "loss": [1.0, 2.0]})
    with served(root) as port:
        yield port


def serious_violations(page):
    """What axe finds that hinders people with disabilities."""
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def open_sweep(page):
    page.get_by_role("link", name="cart", exact=True).click()
    page.wait_for_function(f"() => {LINES} === {MADE}")


def test_a_sweep_is_listed_beside_runs_and_a_trial_leads_to_its_runs(sweep_port, open_page):
    with open_page(sweep_port) as page:
        row = page.locator(".sweeps-table tbody tr").inner_text()
        assert "30 of 40: 24 complete, 3 pruned, 3 failed" in row
        open_sweep(page)
        page.get_by_role("link", name="all runs of trial 3").click()
        page.wait_for_function("() => document.querySelectorAll('.shown-runs li').length === 2")
        legend = page.locator(".shown-runs").inner_text()
        assert "cart/runs/0003-s100" in legend
        assert "cart/runs/0003-s101" in legend
        page.go_back()
        page.locator(".coordinates").wait_for()


def test_trials_are_told_apart_without_colour_and_the_best_is_on_top(sweep_port, open_page):
    values = {n: made_up_trial(n).value for n in range(MADE) if n % 10 not in (7, 8)}
    order = sorted(values, key=values.__getitem__, reverse=True)
    with open_page(sweep_port) as page:
        open_sweep(page)
        dashes = page.evaluate(
            "['complete', 'pruned', 'failed'].map((state) => [...new Set([...document"
            ".querySelectorAll(`.coordinates path.${state}`)].map((path) => "
            "path.getAttribute('stroke-dasharray')))])"
        )
        assert dashes[0] == [None]
        assert len({dash for (dash,) in dashes}) == 3
        drawn = "[...document.querySelectorAll('.coordinates path')].map((p) => +p.dataset.trial)"
        # What is drawn last lies on top.
        assert page.evaluate(drawn)[-3:] == order[2::-1]
        assert page.locator(".coordinates path.best").get_attribute("data-trial") == str(order[0])
        assert page.locator(".coordinates circle").count() == 4
        assert page.evaluate(NUMBERS)[: len(order)] == order
        best = page.locator(".trials-table tbody tr").first
        assert "complete, the best" in best.inner_text()
        title = page.locator(f".coordinates path[data-trial='{order[0]}'] title").text_content()
        assert title.startswith(f"Trial {order[0]}, complete: learning_rate ")
        assert "its first seed is below the median" in page.locator(".trials-table").inner_text()
        drawn = page.evaluate("document.getElementById('plot-best').data")
        (curve,) = (trace for trace in drawn if trace["name"] == "best so far")
        assert curve["y"][-1] == values[order[0]]
        importance = page.locator(".importance tbody tr").first.inner_text()
        assert importance.startswith("learning_rate")


@pytest.mark.slow
def test_trials_are_marked_sorted_and_hidden_by_the_keyboard(sweep_port, open_page):
    with open_page(sweep_port) as page:
        open_sweep(page)
        page.get_by_role("button", name="Mark trial 7", exact=True).focus()
        page.keyboard.press("Enter")
        assert page.locator(".coordinates path.picked").get_attribute("data-trial") == "7"
        pressed = page.locator(".trials-table button[aria-pressed=true]")
        assert pressed.inner_text() == "7"
        page.keyboard.press("Enter")
        assert page.locator(".coordinates path.picked").count() == 0
        page.locator("#sort-trial").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(NUMBERS) == list(range(MADE))
        page.keyboard.press("Enter")
        assert page.evaluate(NUMBERS) == list(range(MADE))[::-1]
        assert page.evaluate("document.activeElement.id") == "sort-trial"
        page.locator("#show-pruned").focus()
        page.keyboard.press("Space")
        page.wait_for_function(f"() => {LINES} === {MADE - 3}")
        assert set(page.evaluate(NUMBERS)) == {n for n in range(MADE) if n % 10 != 7}


@pytest.mark.slow
def test_a_sweep_grows_while_it_goes_on_and_nothing_jumps(tmp_path, open_page):
    make_sweep(tmp_path / "sweep", trials=30, made=20)
    with served(tmp_path / "sweep") as port, open_page(port, ready=".coordinates") as page:
        # The sweep's own folder is shown, so its page comes first.
        assert page.locator("#view-sweep").get_attribute("aria-current") == "page"
        page.get_by_text("There is no run here yet").wait_for()
        page.get_by_role("button", name="Mark trial 3", exact=True).focus()
        page.keyboard.press("Enter")
        page.evaluate("scrollTo(0, 700)")
        place = "document.querySelector('.definition').getBoundingClientRect().top"
        before = page.evaluate(place)
        (tmp_path / "sweep" / "trials" / "0021.json").write_text("{")
        add_trial(tmp_path / "sweep", made_up_trial(20))
        page.wait_for_function(f"() => {LINES} === 21")
        page.get_by_text("0021.json: ").wait_for()
        assert page.evaluate("document.activeElement.innerText") == "3"
        assert page.locator(".coordinates path.picked").get_attribute("data-trial") == "3"
        # The note of the damaged record is above; the browser keeps what is seen in its place.
        assert abs(page.evaluate(place) - before) < 2


@pytest.mark.slow
@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_is_wrong_for_people_with_disabilities(
    sweep_port, open_page, width, colours
):
    with open_page(sweep_port, width=width, colours=colours) as page:
        open_sweep(page)
        page.locator("#plot-best .main-svg").first.wait_for()
        assert serious_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_a_sweep_of_five_hundred_trials_is_drawn(tmp_path, open_page):
    make_sweep(tmp_path / "sweep", trials=500)
    with served(tmp_path) as port, open_page(port, ready=".sweeps-table tbody tr") as page:
        page.get_by_role("link", name="sweep", exact=True).click()
        page.wait_for_function(f"() => {LINES} === 500")
        assert len(page.evaluate(NUMBERS)) == 500


def test_jobs_are_shown_with_their_nodes_and_leases(tmp_path, open_page):
    publish(tmp_path / "sweep" / "published" / "done", env_steps=(100, 200), finished=True)
    publish(tmp_path / "sweep" / "published" / "lost", env_steps=(100,), renewed=1_000)
    publish(tmp_path / "sweep" / "published" / "moved", cpu="A", env_steps=(4_000,), renewed=999)
    publish(tmp_path / "sweep" / "published" / "moved", cpu="B", host="node-2", pid=9)
    with served(tmp_path) as port, open_page(port, ready="#view-jobs:visible") as page:
        page.locator("#view-jobs").click()
        page.locator(".jobs-table tbody tr").first.wait_for()
        lost, moved, done = (
            line.locator("th, td").all_inner_texts()
            for line in page.locator(".jobs-table tbody tr").all()
        )
        assert lost[0:2] == ["sweep/published/lost", "free to be taken over"]
        assert lost[2].startswith("expired, renewed ")
        assert moved[1] == "running"
        assert moved[2].startswith("held, renewed ")
        assert moved[3:6] == ["node-2, process 9", "B", "3"]
        assert moved[6].startswith("env step 4,000, ")
        assert moved[7] == "not exact: cpu was 'A' and is 'B'"
        assert (done[1], done[2], done[7]) == ("finished", "–", "exact")
        assert serious_violations(page) == []
        # It goes on: the next state arrives on its own.
        publish(tmp_path / "sweep" / "published" / "moved", host="node-3", env_steps=(9_000,))
        page.get_by_text("node-3, process 11").wait_for()
