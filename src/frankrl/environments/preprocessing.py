"""How observations and rewards of an environment are prepared, as its name and settings decide."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from frankrl.config import AtariSettings, PixelSettings, Settings
from frankrl.config.families import ATARI
from frankrl.core.errors import SettingError

_ATARI_STACK, _ATARI_SIZE = 4, 84


@dataclass(frozen=True)
class Preprocessing:
    """How observations and rewards are prepared; compares and hashes by value."""

    frame_stack: int = 1
    """Newest observations of an episode that the network gets together. [observations]"""
    resize: int | None = None
    """Height and width to which pictures are resized; None: unchanged. [pixels]"""
    grayscale: bool = False
    """Whether pictures are turned to grey."""
    clip_rewards: bool = False
    """Whether the learner's rewards are clipped to -1 … 1."""
    atari: AtariSettings | None = None
    """How an Atari game is played; None for other environments."""

    @property
    def life_loss_terminates(self) -> bool:
        """Whether a lost life counts as termination for the learner."""
        return self.atari is not None and self.atari.life_loss_terminates

    def to_data(self) -> dict[str, Any]:
        """The record as JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Preprocessing":
        """The reverse of `to_data`.

        Raises:
            SettingError: a value is not allowed.
            TypeError: the data have another form.
        """
        atari = data["atari"]
        pixels = PixelSettings(
            frame_stack=data["frame_stack"],
            resize=data["resize"],
            grayscale=_WORDS[data["grayscale"]],
            clip_rewards=_WORDS[data["clip_rewards"]],
        )
        return cls(
            frame_stack=pixels.frame_stack or 1,
            resize=pixels.resize,
            grayscale=pixels.grayscale == "on",
            clip_rewards=pixels.clip_rewards == "on",
            atari=AtariSettings(**atari) if atari is not None else None,
        )


_WORDS: dict[bool, Literal["off", "on"]] = {False: "off", True: "on"}


_OF_ATARI = tuple(field.name for field in dataclasses.fields(AtariSettings))


def refuse_settings_of_atari(env_id: str, named: Mapping[str, Any]) -> None:
    """Refuse settings of Atari games that a command names for another environment, whatever they
    are. (From Python all settings of another run may be given, these with their defaults.)

    Args:
        env_id: the environment; empty if only a data set says which one it is.
        named: the settings that were named, by their short names.

    Raises:
        SettingError: one of them is such a setting.
    """
    given = [name for name in _OF_ATARI if name in named]
    if not given or not env_id or ATARI.has(env_id):
        return
    from frankrl.environments.similar_games import is_old_name_without_package, similar_games

    # A name in another spelling is answered by the one that was meant.
    if not similar_games(env_id) and not is_old_name_without_package(env_id):
        raise _belongs_to_atari(env_id, given[0], named[given[0]])


def _belongs_to_atari(env_id: str, name: str, value: Any) -> SettingError:
    return SettingError(
        f"{name} ({value}) belongs to Atari games, ALE/…, and {env_id} is none: leave it out, or "
        "choose a preset that is not made for Atari games"
    )


def preprocessing_for(env_id: str, settings: Settings) -> Preprocessing:
    """How an environment is prepared.

    Raises:
        SettingError: a setting of Atari games is given for another environment.
    """
    pixels, atari = settings.pixels, ATARI.has(env_id)
    if not atari and settings.atari != AtariSettings():
        usual = AtariSettings()
        given = next(n for n in _OF_ATARI if getattr(settings.atari, n) != getattr(usual, n))
        raise _belongs_to_atari(env_id, given, getattr(settings.atari, given))
    return Preprocessing(
        frame_stack=pixels.frame_stack or (_ATARI_STACK if atari else 1),
        resize=pixels.resize or (_ATARI_SIZE if atari else None),
        grayscale=atari if pixels.grayscale == "auto" else pixels.grayscale == "on",
        clip_rewards=atari if pixels.clip_rewards == "auto" else pixels.clip_rewards == "on",
        atari=settings.atari if atari else None,
    )
