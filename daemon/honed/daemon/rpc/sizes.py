"""Texts and maps from outside that are longer than any use. Pure."""

from collections.abc import Iterator, Mapping

MAX_ENTRIES = 1000
MAX_NAME = 200
MAX_TEXT = 2000


def text_mistakes(texts: Mapping[str, str], longest: int) -> Iterator[tuple[str, str]]:
    """Texts, by field, that are too long."""
    for field, text in texts.items():
        if len(text) > longest:
            yield field, f"expected {longest} characters at most, found {len(text)}"


def map_mistakes(field: str, entries: Mapping[str, str], longest: int) -> Iterator[tuple[str, str]]:
    """What is wrong with a map of texts of `longest` characters at most, by names."""
    if len(entries) > MAX_ENTRIES:
        yield field, f"expected {MAX_ENTRIES} entries at most, found {len(entries)}"
    elif not all(1 <= len(name) <= MAX_NAME and len(text) <= longest for name, text in entries.items()):
        yield field, f"expected names of 1 to {MAX_NAME} characters and values of {longest} at most"
