"""A live page for runs; it only reads run folders.

The server process runs no network. Slow work (an episode, an update, the diagnostics of a
checkpoint) is done by `frankrl.dashboard.work` in a process of its own.
"""
