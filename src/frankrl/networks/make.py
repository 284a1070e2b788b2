"""Makes the definition of a Q-network or Q-table from settings."""

from typing import TYPE_CHECKING

from frankrl.config import NetworkSettings
from frankrl.core.errors import SettingError
from frankrl.core.types import Scaling
from frankrl.environments import Leaf, PictureAxes, picture_axes
from frankrl.networks.encoder import Encoder
from frankrl.networks.head import Head
from frankrl.networks.layered import LayeredNetwork
from frankrl.networks.layers import Dense, Layer, Noisy, Normalised
from frankrl.networks.memory import GRU
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.own_functions import OwnTorso
from frankrl.networks.readout import Readout
from frankrl.networks.recurrent import RecurrentNetwork
from frankrl.networks.torsos import Flatten, OneHot, Torso

if TYPE_CHECKING:
    from frankrl.networks.pictures import PictureTorso


_LEAST_LARGE_SIDE = 36
"""Least height and width of a picture for which `auto` means the torso `nature`. [pixels]"""
_KINDS = ("nature", "minatar", "impala")
"""The torsos for pictures."""


def make_q_network(
    settings: NetworkSettings,
    leaves: tuple[Leaf, ...],
    num_actions: int,
    head: Head,
    *,
    noisy: bool = False,
    frame_stack: int = 1,
    own_torso: OwnTorso | None = None,
) -> LayeredNetwork | RecurrentNetwork:
    """The Q-network or Q-table that settings describe.

    Args:
        settings: layers and scaling of observations.
        leaves: leaves of an observation.
        num_actions: number of actions.
        head: how the outputs describe the return.
        noisy: whether all dense layers have learned noise in their weights.
        frame_stack: observations that the network gets together, along an axis in front of each
            leaf's own; 1: there is no such axis.
        own_torso: the user's own torso, which reads whole observations; None: those of Frank that
            settings name.

    Raises:
        SettingError: the torso does not suit the observations.
    """
    encoder = Encoder((own_torso,) if own_torso else _torsos(settings, leaves, frame_stack))
    if settings.q_function == "table":
        readout = Readout((), settings.activation, Table(num_actions), head)
        return LayeredNetwork(encoder, readout)
    readout = _readout(settings, num_actions, head, noisy=noisy)
    if settings.memory == "gru":
        return RecurrentNetwork(encoder, readout, GRU(settings.memory_units))
    return LayeredNetwork(encoder, readout)


def _readout(settings: NetworkSettings, num_actions: int, head: Head, *, noisy: bool) -> Readout:
    """The layers of a Q-network behind its torsos, or behind its memory."""

    def dense(width: int) -> Dense | Noisy:
        return Noisy(Dense(width)) if noisy else Dense(width)

    hidden: list[Layer] = [dense(width) for width in settings.hidden_widths]
    if settings.layer_norm:
        hidden = [Normalised(layer) for layer in hidden]
    parts = num_actions + settings.dueling
    outputs = ActionOutputs(dense(parts * (head.atoms or 1)), parts, head.atoms)
    output = Dueling(outputs) if settings.dueling else outputs
    return Readout(tuple(hidden), settings.activation, output, head)


def _torsos(
    settings: NetworkSettings, leaves: tuple[Leaf, ...], frame_stack: int
) -> tuple[Torso, ...]:
    """The torso of each leaf."""
    pictures = _pictures(settings, leaves, frame_stack)
    return tuple(
        _torso(leaf, settings, frame_stack, axes)
        for leaf, axes in zip(leaves, pictures, strict=True)
    )


def _torso(
    leaf: Leaf, settings: NetworkSettings, frame_stack: int, axes: PictureAxes | None
) -> Torso:
    """The torso of one leaf."""
    if leaf.num_values is not None:
        return OneHot(leaf.num_values * frame_stack)
    scaling = leaf.scaling(to_bounds=settings.scale_observation)
    if axes is None:
        stack = (frame_stack,) if frame_stack > 1 else ()
        return Flatten((*stack, *leaf.shape), scaling)
    kind = settings.torso if settings.torso != "auto" else _usual(axes)
    torso = _picture_torso(kind, axes, scaling, settings)
    if torso.num_features == 0:
        others = [
            other
            for other in _KINDS
            if _picture_torso(other, axes, scaling, settings).num_features > 0
        ]
        least = torso.smallest_side
        raise SettingError(
            f"torso {kind} needs pictures of at least {least} × {least} pixels, these are "
            f"{axes.height} × {axes.width}: use torso {', '.join(others)} or flat"
        )
    return torso


def _picture_torso(
    kind: str, axes: PictureAxes, scaling: Scaling, settings: NetworkSettings
) -> "PictureTorso":
    """The torso of that name for pictures; without features where they are too small for it."""
    # Not at the top, since few networks see pictures and importing it takes a hundredth of a start.
    from frankrl.networks.pictures import PictureTorso, picture_stages

    stages = picture_stages(
        kind,
        settings.activation,
        layer_norm=settings.layer_norm,
        impala_width=settings.impala_width,
    )
    return PictureTorso(axes, scaling, stages)


def _pictures(
    settings: NetworkSettings, leaves: tuple[Leaf, ...], frame_stack: int
) -> list[PictureAxes | None]:
    """The axes of each leaf that a convolutional torso reads; None for the others.

    A torso that is asked for reads the same leaves as `auto`. If there are none, it reads all that
    have the axes of a picture.

    Raises:
        SettingError: such a torso is asked for, and no leaf is a picture.
    """
    if settings.torso == "flat" or settings.q_function == "table":
        return [None] * len(leaves)
    found = [picture_axes(leaf, frame_stack) for leaf in leaves]
    if any(found) or settings.torso == "auto":
        return found
    found = [
        None if leaf.num_values is not None else PictureAxes.of(leaf.shape, frame_stack)
        for leaf in leaves
    ]
    if not any(found):
        raise SettingError(
            f"torso {settings.torso} is for pictures, and the observations hold none: they "
            f"have the shape {' and '.join(str(list(leaf.shape)) for leaf in leaves)}; use "
            "torso auto"
        )
    return found


def _usual(axes: PictureAxes) -> str:
    """The torso that `auto` means for a picture."""
    return "nature" if min(axes.height, axes.width) >= _LEAST_LARGE_SIDE else "minatar"
