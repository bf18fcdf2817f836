"""Errors that end a run or a subject without results."""

from harness.checks import Unproven


class Failed(Unproven):
    """A side did not answer correctly, so its figures would be meaningless. Its text contains no secret."""


class Skipped(Exception):
    """A subject cannot be measured with this program. Its text is the reason."""
