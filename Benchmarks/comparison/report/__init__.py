"""Writes the results. README.md and plots are made from the document in results.json alone."""
