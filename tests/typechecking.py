"""The type checker that Frank runs under while it is tested."""

from beartype import BeartypeConf, beartype

# A whole number may stand for a float, as everywhere in Python's type checkers.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
