"""What text a process can be given."""

from __future__ import annotations

from knit.exceptions import SpecError


def check_characters(what: str, value: str, *, hint: str = "") -> None:
    """Refuses text that no process can be given: null bytes, and halves of characters."""
    if "\0" in value:
        raise SpecError(f"{what} holds a null byte, which no process can be given.")
    try:
        value.encode()
    except UnicodeEncodeError:
        # As names of files that are not UTF-8 come to Python, too.
        advice = f": {hint}" if hint else "."
        raise SpecError(f"{what} is not valid Unicode, holding half a character{advice}") from None
