"""Frank put to the torture: kills, damage, faults, signals, fuzz, and what came of it."""
