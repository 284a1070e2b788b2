"""RLax, the peer that targets and losses are held against; importing it is noisy."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import rlax

__all__ = ["rlax"]
