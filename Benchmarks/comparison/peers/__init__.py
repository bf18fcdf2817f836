"""Servers, started on one processor with one worker each, and ended with the block that started them."""
