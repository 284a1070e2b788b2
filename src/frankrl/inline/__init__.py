"""What a notebook shows of results: HTML that loads nothing, with every text escaped."""
