"""What commands print of texts that others chose."""


def printable(text: str) -> str:
    """Return a text of a server without what terminals obey, such as the ends of lines.

    >>> printable("a" + chr(27) + "[2Jb")
    'a?[2Jb'
    """
    return "".join([char if char.isprintable() else "?" for char in text])
