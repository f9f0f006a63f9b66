"""Texts of strangers on a terminal: what a page, a request or somebody who searched at a shop has written."""


def plain(text: str) -> str:
    """The text without what a terminal would obey: a search phrase could clear the screen, or write to another line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
