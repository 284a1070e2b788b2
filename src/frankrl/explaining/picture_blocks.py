"""The pictures of s and s′ of a transition, and what a terminal says of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped

from frankrl.explaining.document import Block, Formula, Picture, Pictures
from frankrl.explaining.pictures import PictureLeaf, overlaid

_SALIENCY = "orange: |∂ max Q(s, ·) / ∂ pixel|"


def picture_blocks(
    shown: PictureLeaf,
    labels: Sequence[str],
    states: Sequence[Shaped[np.ndarray, "*shape"]],
    ages: tuple[int, int],
    saliency: Float[np.ndarray, "height width"] | None,
) -> list[Block]:
    """The blocks that show one leaf of s and s′.

    Args:
        shown: the leaf.
        labels: what its parts of s and s′ are called.
        states: its values in s and s′.
        ages: how many observations the episode had shown at s, and at s′.
        saliency: map that is laid over the newest picture of s; None: none.
    """
    blocks: list[Block] = []
    for label, state, observed, over in zip(labels, states, ages, (saliency, None), strict=True):
        blocks.append(_summary(shown, label, state, observed))
        pictures = [*zip(shown.names, shown.in_colours(state), strict=True)]
        if over is not None:
            pictures.append((_SALIENCY, overlaid(pictures[-1][1], over)))
        blocks.append(Pictures(label, tuple(_picture(*named) for named in pictures)))
    newest, newest_after = (_newest(shown, state) for state in states)
    differ = int(np.any(newest != newest_after, axis=2).sum())
    newest_of = "the newest pictures of" if shown.axes.stack > 1 else "the pictures of"
    pixels = newest.shape[0] * newest.shape[1]
    between = f"{newest_of} {labels[0]} and {labels[1]} differ in "
    blocks.append(Formula((between, differ, " of ", pixels, " pixels")))
    return blocks


def _summary(
    shown: PictureLeaf, label: str, state: Shaped[np.ndarray, "*shape"], observed: int
) -> Formula:
    """Size, number, kind and mean of the pictures, and how many stand before the start."""
    axes, missing = shown.axes, max(0, shown.axes.stack - observed)
    count = "a picture" if axes.stack == 1 else f"{axes.stack} pictures"
    size = f"{count} of {axes.height} × {axes.width} pixels {shown.kind}"
    which = "mean " if axes.stack == 1 else "mean of the newest "
    before = ""
    if missing:
        stand = "stands" if missing == 1 else "stand"
        before = f"; the oldest {missing} {stand} before the start of the episode: zeros"
    mean = float(np.mean(_newest(shown, state)))
    return Formula((f"{label} = {size}, {which}", mean, before))


def _newest(
    shown: PictureLeaf, state: Shaped[np.ndarray, "*shape"]
) -> Shaped[np.ndarray, "height width channel"]:
    return shown.axes.channels_last(state[np.newaxis])[0, :, :, -shown.axes.channels :]


def _picture(label: str, pixels: np.ndarray) -> Picture:
    height, width = pixels.shape[:2]
    return Picture(label, height, width, pixels.tobytes())
