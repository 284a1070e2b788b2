"""`python -m frankrl` is the command `frank`."""

from frankrl.cli.main import run_process

run_process()
