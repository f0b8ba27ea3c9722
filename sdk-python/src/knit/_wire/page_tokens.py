"""What holds an Application Master to lists that end."""

from __future__ import annotations

from knit.exceptions import ApplicationError

MOST_EMPTY_PAGES = 1_000
"""In a row; a page that names another one may be empty, where a filter lets nothing through."""


class PageTokens:
    """
    The tokens of one list, so far. A list that goes in a circle, or on and on without anything in
    it, would be read for ever.

    Args:
        what: What is tried, as the beginning of a sentence.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: set[str] = set()
        self._empty_pages = 0

    def note(self, token: str, items: int) -> None:
        """
        Takes note of a page: what it has, and the token it names.

        Raises:
            ApplicationError: The list does not end.
        """
        if not token:
            return
        self._empty_pages = 0 if items else self._empty_pages + 1
        if token in self._seen:
            raise ApplicationError(
                f"{self._what}: the Application Master sends its pages in a circle. That is an "
                "error of its own: report it, with the version that knit status shows."
            )
        if self._empty_pages > MOST_EMPTY_PAGES:
            raise ApplicationError(
                f"{self._what}: the Application Master sent {self._empty_pages:,} empty pages and "
                "names another. That is an error of its own: report it, with the version that "
                "knit status shows."
            )
        self._seen.add(token)
