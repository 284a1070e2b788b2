"""What is shown of work while it is done: on a terminal, in a log, in a notebook."""
