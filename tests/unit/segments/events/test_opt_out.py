"""The page of the opt-out says the same in every language, and only of its own state."""

import msgspec
import pytest

from segments.events.opt_out import LANGUAGES, opt_out_page


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_has_all_texts_and_shows_those_of_the_state(language: str) -> None:
    words = LANGUAGES[language]
    assert all(msgspec.structs.astuple(words))
    before, after = opt_out_page(language, is_out=False), opt_out_page(language, is_out=True)
    assert (words.offer in before, words.done in before) == (True, False)
    assert (words.offer in after, words.done in after) == (False, True)
    assert f'lang="{language}"' in before
