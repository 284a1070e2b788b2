"""A live page for runs: it reads run folders, and changes nothing.

The process that serves the page computes nothing of a network; what takes longer (an
episode, an update, a look into a checkpoint) is done by `frankrl.dashboard.work` in a
process of its own.
"""
