"""Load generators. Each runs on its own processor and returns its counts, or raises Failed."""
