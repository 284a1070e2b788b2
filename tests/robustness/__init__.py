"""Robustness studies: try to break what Frank promises, and count how often it held."""
