"""The one error that these commands raise on purpose."""


class DeployError(Exception):
    """What went wrong and what to do about it, for a person; the exit code is 1."""
