"""Films of an agent: frames, panel, encoder."""
