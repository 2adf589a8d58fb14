"""The package's one kind of error."""


class LatError(Exception):
    """A sentence that says what was expected, what was found and what to do.

    ``exit_code`` is that of the program where it was the program that failed (1: while working, 2: bad input), else None.
    """

    def __init__(self, sentence: str, exit_code: int | None = None) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def shortened(text: object, longest: int = 100) -> str:
    """What was found, in quotes and short enough for a sentence."""
    text = str(text).strip()
    return f"'{text if len(text) <= longest else text[:longest] + '..'}'"
