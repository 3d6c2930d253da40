"""Words of messages: a number with its noun."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in the singular for one.

    >>> counted(1, "failed check"), counted(2400, "row"), counted(0, "copy of rows", "copies of rows")
    ('1 failed check', '2,400 rows', '0 copies of rows')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
