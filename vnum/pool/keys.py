"""Every Redis key name. The pool's keys of a cell share its hash tag, so that one script may touch them."""


class Keys:
    """Key names under a prefix of the installation's own (a replay has another)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def free(self, cell: int, host: str) -> str:
        """String: one bit a slot, 1 = free to take."""
        return f"{self.prefix}:{{{cell}}}:free:{host}"

    def days(self, cell: int, host: str) -> str:
        """String: two bytes a slot, big-endian: the UTC day on which it may be free again; 0 = free or unusable."""
        return f"{self.prefix}:{{{cell}}}:days:{host}"

    def rolled(self, cell: int) -> str:
        """Hash: host -> the UTC day to which its slots were rolled over."""
        return f"{self.prefix}:{{{cell}}}:rolled"

    def bucket(self, name: str) -> str:
        """Hash: a token bucket; tokens, at (milliseconds)."""
        return f"{self.prefix}:{{rate:{name}}}"

    def pattern(self) -> str:
        """Matches every key of this installation."""
        return f"{self.prefix}:*"
