"""What a notebook shows of results: curves, films and named values as HTML."""

import base64
import os
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from frankrl.inline import media as media_module
from frankrl.inline.block import html_block
from frankrl.inline.curve import curve_svg, learning_curve
from frankrl.inline.media import media, newest_film
from frankrl.runs.curves import Curve

HOSTILE = """<script>alert("1")</script> ' & " <img src=http://x onerror=y>\x1b[31m"""


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def curve(steps, values):
    return Curve(np.array(steps, float), np.array(values, float))


def test_texts_are_escaped_and_obeyed_by_nobody():
    page = Page(html_block(HOSTILE, [(HOSTILE, HOSTILE)]))
    assert {"script", "img"}.isdisjoint(page.tags)
    assert page.text.count("<script>") == 3
    assert "\x1b" not in page.text


def test_a_curve_goes_from_left_to_right_and_its_highest_value_is_on_top():
    svg = ElementTree.fromstring(curve_svg(curve([0, 50, 100], [-5, 20, 0]), curve([], [])))
    (line,) = (element for element in svg.iter() if element.tag.endswith("polyline"))
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    # Half of the env steps lie half way, and equal distances in return are equal on the page.
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert (y0 - y2) / (y0 - y1) == pytest.approx(5 / 25, abs=0.01)
    assert y1 < y2 < y0
    assert "return from -5 to 20 over 100 env steps" in svg.get("aria-label")


def test_evaluations_are_points_on_the_same_axes():
    text = curve_svg(curve([0, 10], [0, 10]), curve([10, 10], [10, 0]))
    svg = ElementTree.fromstring(text)
    first, second = (element for element in svg.iter() if element.tag.endswith("circle"))
    (line,) = (element for element in svg.iter() if element.tag.endswith("polyline"))
    end = line.get("points").split()[1].split(",")
    assert [first.get("cx"), first.get("cy")] == end
    assert float(second.get("cy")) > float(first.get("cy"))
    assert "greedy evaluations" in text


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0]])
def test_equal_values_are_drawn_without_dividing_by_zero(values):
    ElementTree.fromstring(curve_svg(curve(range(len(values)), values), curve([], [])))


def test_nothing_is_drawn_of_nothing(tmp_path):
    assert curve_svg(curve([], []), curve([], [])) == ""
    assert learning_curve(tmp_path) == learning_curve(tmp_path / "nowhere") == ""
    assert newest_film(tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "tag", "kind"),
    [("f.mp4", "video", "video/mp4"), ("f.GIF", "img", "image/gif"), ("f.png", "img", "image/png")],
)
def test_a_file_is_held_whole(tmp_path, name, tag, kind):
    file = tmp_path / name
    file.write_bytes(content := bytes(range(256)))
    html = media(file)
    assert Page(html).tags == [tag]
    assert f'src="data:{kind};base64,{base64.b64encode(content).decode()}"' in html


def test_what_is_too_large_missing_or_of_another_kind_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(media_module, "MAX_BYTES", 10)
    large = tmp_path / "a & b.mp4"
    large.write_bytes(bytes(11))
    assert media(large) == f"<p>{tmp_path}/a &amp; b.mp4</p>"
    assert Page(media(tmp_path / "none.mp4")).tags == ["p"]
    (tmp_path / "page.html").write_text("<script>")
    assert Page(media(tmp_path / "page.html")).tags == ["p"]


def test_the_newest_film_is_shown_and_links_are_not_followed(tmp_path):
    videos = tmp_path / "run" / "videos"
    videos.mkdir(parents=True)
    for moment, name in ((2, "b.mp4"), (1, "a.mp4")):
        (videos / name).write_bytes(name.encode())
        os.utime(videos / name, (moment, moment))
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    (videos / "c.mp4").symlink_to(secret)
    assert base64.b64encode(b"b.mp4").decode() in newest_film(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "videos").symlink_to(videos)
    assert newest_film(tmp_path / "other") == ""
