"""Experience: who acts, and where steps come from."""
