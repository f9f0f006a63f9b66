import pytest

from core.ids import USER_ID_CHARS, is_user_id, new_user_id


def test_new_ids_have_the_shape_of_ids_and_differ() -> None:
    made = {new_user_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_user_id(user_id) for user_id in made)


@pytest.mark.parametrize(
    "text", ["", "a" * 21, "a" * 23, "a" * 21 + " ", "ą" * 22, "a" * 21 + "+", "a" * 21 + "\n", "²" * 22]
)
def test_anything_else_is_somebody_else_s(text: str) -> None:
    assert not is_user_id(text)


def test_dashes_and_underscores_are_part_of_the_alphabet() -> None:
    assert is_user_id("-" * USER_ID_CHARS)
    assert is_user_id("_" * USER_ID_CHARS)
