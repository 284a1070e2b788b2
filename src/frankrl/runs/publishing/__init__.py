"""Runs that move: what shared storage holds of a run, and who may write it."""

from frankrl.runs.publishing.status import PublishedStatus, published_status

__all__ = ["PublishedStatus", "published_status"]
