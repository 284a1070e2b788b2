"""What is known of runs without training code: lists, comparisons, states, results."""
