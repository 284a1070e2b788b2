"""The description of an environment."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Shaped

from frankrl.environments import names
from frankrl.environments.encoding import Mistake, parts_of
from frankrl.environments.leaves import MASK_FIELD, Leaf, Structure, leaves_in, row_dtype, together
from frankrl.environments.masks import Entries, MaskSource, in_words, mask_in
from frankrl.environments.preprocessing import Preprocessing
from frankrl.environments.symmetry import Symmetry

DIGEST_BYTES = 16
"""Length of every hash of what environments return."""
LARGE_ROW_BYTES = 2_048
"""A row of so many bytes is hashed where its environment is stepped."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything that the rest of Frank knows about an environment.

    An observation has two forms. For stepping, it is a row: one array or record that is copied,
    hashed and sent in one piece. For acting and learning, it is a pytree of leaves, with the
    dicts and tuples of the environment's own observations.
    """

    env_id: str
    env_kwargs: Mapping[str, Any]
    wrappers: tuple[str, ...]
    """Names of the user's own wrappers around it, the innermost first."""
    leaves: tuple[Leaf, ...]
    """Leaves of an observation without its mask, in the order in which JAX flattens it."""
    num_actions: int
    first_action: int
    """The environment's own number for action index 0."""
    reward_threshold: float | None
    """Mean return at which the environment counts as solved; None if it names none."""
    observation_space: spaces.Space
    """The environment's own observation space."""
    state_space: spaces.Space
    """The observation space without the action mask."""
    masks_from: MaskSource
    """Where the environment provides its action mask."""
    mask_key: str
    """Key of the mask in the observation or the info; empty for the method `action_masks`."""
    mask_setting: str
    """The setting `action_mask` with which it was described."""
    mask_entries: Entries | None
    """Keys of state and mask in an observation; None if it holds no mask."""
    made_by: str
    """How Gymnasium makes it; two processes may register different environments by one name."""
    can_be_filmed: bool
    """Whether the environment says that it renders pictures."""
    has_time_limit: bool
    """Whether it names the most steps of an episode."""
    running_statistics: tuple[str, ...]
    """Names of its wrappers that change with all they see, such as `NormalizeReward`."""
    own_action_names: tuple[str, ...]
    """What the environment itself calls its actions; empty if it does not say."""
    preprocessing: Preprocessing
    """How its observations and rewards are prepared."""
    symmetries: tuple[Symmetry, ...]
    """Maps of observations and actions under which it says that it stays the same."""
    structure: Structure = field(repr=False)
    """How the leaves form an observation."""

    @property
    def is_masked(self) -> bool:
        """Whether the environment provides action masks."""
        return self.masks_from != "nowhere"

    @property
    def mask_place(self) -> str:
        """Where allowed actions are read from, in words; empty without action masks."""
        return in_words(self.masks_from, self.mask_key)

    @cached_property
    def row_dtype(self) -> np.dtype:
        """Dtype of a row, with its mask: that of the only leaf, or a record."""
        return row_dtype(self.leaves, self.num_actions if self.is_masked else 0)

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row; () for a record."""
        return self.leaves[0].shape if self.row_dtype.names is None else ()

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.row_dtype.itemsize * math.prod(self.row_shape)

    @cached_property
    def hashes_rows(self) -> bool:
        """Whether a row is so large that it is hashed where its environment is stepped: then
        pictures are hashed on all cores."""
        return self.row_bytes >= LARGE_ROW_BYTES

    def row_hash(self, row: Shaped[np.ndarray, "*row"]) -> bytes:
        """A hash of a large row; empty for a small one, whose bytes stand for themselves."""
        if not self.hashes_rows:
            return b""
        return hashlib.blake2b(row.tobytes(), digest_size=DIGEST_BYTES).digest()

    def fingerprint(self, row: Shaped[np.ndarray, "*row"]) -> bytes:
        """What of a row goes into the digest of its environment: its hash, or its bytes."""
        return self.row_hash(row) or row.tobytes()

    def observation(self, rows: Shaped[np.ndarray, "*batch_and_row"]) -> Any:
        """The observations in rows, in the environment's own structure.

        Args:
            rows: rows with any leading axes.

        Returns:
            A pytree of views; the rows themselves if there is only one leaf.
        """
        if self.row_dtype.names is None:
            return rows
        return together(self.structure, leaves_in(rows, len(self.leaves)))

    def action_mask(
        self, rows: Shaped[np.ndarray, "*batch_and_row"]
    ) -> Bool[np.ndarray, "*batch action"] | None:
        """The action masks in rows, as a view; None without action masks."""
        return rows[MASK_FIELD] if self.is_masked else None

    def parts(self, observation: Any, info: Any, mistake: Mistake) -> tuple[list[Any], Any]:
        """The part of an observation for each leaf, and the action mask or None.

        Args:
            observation: an observation of the environment, or a batch.
            info: the info that came with it.
            mistake: makes the error from a description of what is wrong.
        """
        state, mask = observation, mask_in(info, self.mask_key)
        if self.mask_entries is not None:
            alone, key = self.mask_entries
            if not isinstance(observation, Mapping):
                kind = type(observation).__name__
                raise mistake(f"an observation that is no dict but {kind}")
            mask = observation.get(key)
            if len(alone) == 1:
                (name,) = alone
                if name not in observation:
                    raise mistake(f"an observation without the entry {name!r}")
                state = observation[name]
        if isinstance(self.structure, int):
            return [state], mask
        return list(parts_of(self.structure, state, mistake)), mask

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions if known, else their numbers."""
        return self.own_action_names or names.action_names(self.env_id, self.num_actions)

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components of all leaves if known, else their numbers."""
        return tuple(name for leaf in self.leaves for name in self.leaf_component_names(leaf))

    def leaf_component_names(self, leaf: Leaf) -> tuple[str, ...]:
        """Names of the components of a leaf if known, else their numbers."""
        return names.component_names(self.env_id, leaf)

    def value_name(self, leaf: Leaf, number: int) -> str:
        """What a number of a `Discrete` leaf means if that is known, else an empty string."""
        return names.value_name(self.env_id, self.env_kwargs, leaf, number)
