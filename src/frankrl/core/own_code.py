"""What a message says of code of the user's own that failed."""

import contextlib
import traceback
from pathlib import Path


def failed(error: Exception) -> str:
    """What a function of the user's own did instead of returning, and in which line."""
    import jax

    where = _where(error)
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return keeps(where)
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.JAXTypeError):
        return (
            f"cannot be compiled{where}, because it needs to know numbers in arrays, as `if`, "
            f"float(…) or NumPy's functions do ({type(error).__name__}): use jnp.where, jax.lax "
            "and jax.numpy"
        )
    message = str(error).strip().partition("\n")[0]
    return f"raised {type(error).__name__}{where}{f': {message}' if message else ''}"


def keeps(where: str = "") -> str:
    """What a message says of a function that keeps its arrays for the next call."""
    return (
        f"uses an array of an earlier call{where}: it may depend on its arguments only, and keep "
        "nothing of them"
    )


def _where(error: Exception) -> str:
    """The user's own line in which an error was raised, in brackets; empty if there is none."""
    import jax

    libraries = [
        Path(file).parents[above]
        for file, above in ((jax.__file__, 1), (__file__, 1), (contextlib.__file__, 0))
    ]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.suffix == ".py" and not any(file.is_relative_to(folder) for folder in libraries):
            return f" ({file.name}, line {frame.lineno})"
    return ""
