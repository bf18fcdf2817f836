"""Servers with one worker each on one processor. They are ended with the block that started them."""
