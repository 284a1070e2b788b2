"""When a test gives up on something that does not come: it reports a hang, never a speed."""

HANGS_AFTER_SECONDS = 900.0
