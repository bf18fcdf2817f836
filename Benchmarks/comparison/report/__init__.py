"""Writes down what was measured. Everything is made of the one document that results.json holds."""
