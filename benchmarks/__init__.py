"""Studies that take long; their results stand in `docs/benchmarks.md`."""
