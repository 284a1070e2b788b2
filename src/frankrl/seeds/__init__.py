"""The same training with several seeds: a group of runs, begun, continued, evaluated as one."""
