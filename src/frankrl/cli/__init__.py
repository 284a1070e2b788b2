"""The command line: one file for each command of `frank`, and what they share."""
