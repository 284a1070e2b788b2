"""Where jobs are done: on this machine, on a cluster, or by commands that are printed."""

from frankrl.cluster.engines import check_engine, check_processes, engine_for

__all__ = ["check_engine", "check_processes", "engine_for"]
