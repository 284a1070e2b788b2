"""What the page has done for it in a process of its own: episodes, updates, checkpoints."""
