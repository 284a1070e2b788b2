"""What everything stands on: types, random numbers, errors, the start of JAX, signals."""
