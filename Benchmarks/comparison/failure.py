"""What ends a run without results."""

from harness.checks import Unproven


class Failed(Unproven):
    """A side did not do what it has to, so that its figures would mean nothing. Its text names no secret."""


class Skipped(Exception):
    """A subject cannot be measured with this program; its text says why."""
