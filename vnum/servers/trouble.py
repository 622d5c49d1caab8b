"""The one exception of this package."""


class ServerTrouble(Exception):
    """A server cannot be used.

    `code` is stable and meant for programs, the words for a person: `what` says what is wrong and where,
    `advice` what to do about it, `message` is both. None holds a password.
    """

    def __init__(self, code: str, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.code = code
        self.what = what
        self.advice = advice

    @property
    def message(self) -> str:
        return f"{self.what} {self.advice}"
