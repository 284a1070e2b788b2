"""The digest of a data set: equal for equal content, whatever the file looks like."""

import hashlib
import json
from typing import Any

from gymnasium import spaces

from frankrl.datasets.records import DataEpisode
from frankrl.datasets.spaces import space_to_data


class ContentDigest:
    """SHA-256 over the spaces and, in their order, the episodes of a data set.

    Names, seeds, metadata and how the file is packed do not enter: they change nothing that is
    learned.
    """

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        both = [space_to_data(observation_space), space_to_data(action_space)]
        self._hash = hashlib.sha256(json.dumps(both, sort_keys=True).encode())

    def add(self, episode: DataEpisode) -> None:
        """Add the next episode."""
        ends = [episode.terminated, episode.truncated, episode.masks is not None]
        self._hash.update(json.dumps([len(episode.actions), *ends]).encode())
        self._add(episode.observations)
        for array in (episode.actions, episode.rewards, episode.masks):
            if array is not None:
                self._add(array)

    def text(self) -> str:
        """The digest of all so far, as 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def _add(self, value: Any) -> None:
        if isinstance(value, dict):
            for name in sorted(value):
                self._add(value[name])
        elif isinstance(value, tuple):
            for part in value:
                self._add(part)
        else:
            little = value.dtype.newbyteorder("<")
            self._hash.update(value.astype(little, copy=False).tobytes())
