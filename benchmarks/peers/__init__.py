"""The same work done by Frank and by other libraries, a small adapter each.

`benchmarks.compare` and `benchmarks.minatar` run an adapter in the library's own virtual
environment, as `python -m benchmarks.peers.NAME JOB`; it prints its result as one JSON line.
"""
