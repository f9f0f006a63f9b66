"""User ids as people paste them."""

from core.errors import InputError
from core.ids import is_user_id


def checked_user_id(text: str) -> str:
    """The id as it is. Raises InputError for what no cookie of ours can hold."""
    if not is_user_id(text):
        raise InputError(f"'{text}' is not a user id", hint="pass the 22 characters of the grosz_uid cookie")
    return text
