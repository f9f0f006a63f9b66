"""Every text of an ad can be read, whatever colours its shop has."""

import pytest

from creatives.templates.colours import LEAST_CONTRAST, contrast, legible, readable_on


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")


@pytest.mark.parametrize("colour", ["#ffeb3b", "#c9184a", "#000000", "#ffffff", "#777777", "#e07a00"])
def test_a_colour_is_changed_as_little_as_it_takes(colour: str) -> None:
    for background in ("#ffffff", "#000000", "#fff0f3", "#767676"):
        assert contrast(legible(colour, background), background) >= LEAST_CONTRAST - 0.05
        assert contrast(readable_on(background), background) >= LEAST_CONTRAST
        if contrast(colour, background) >= LEAST_CONTRAST:
            assert legible(colour, background) == colour
