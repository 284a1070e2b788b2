"""The same work done by Frank and by other libraries, a small adapter each.

An adapter is run by `benchmarks.compare` in the library's own virtual environment, as
`python -m benchmarks.peers.NAME JOB`, and prints its result as one JSON line.
"""
