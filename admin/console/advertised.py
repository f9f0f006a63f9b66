"""What ads advertise, in words: the upper level of the IAB's Content Taxonomy 1.0, by which publishers block."""

from collections.abc import Mapping
from typing import Final

from admin.console.fields import N_

ADVERTISED: Final[Mapping[str, str]] = {
    "IAB18": N_("Style and fashion"),
    "IAB19": N_("Technology and computing"),
    "IAB10": N_("Home and garden"),
    "IAB8": N_("Food and drink"),
    "IAB7": N_("Health and fitness"),
    "IAB17": N_("Sports"),
    "IAB6": N_("Family and parenting"),
    "IAB16": N_("Pets"),
    "IAB9": N_("Hobbies and interests"),
    "IAB2": N_("Automotive"),
    "IAB20": N_("Travel"),
    "IAB21": N_("Real estate"),
    "IAB13": N_("Personal finance"),
    "IAB3": N_("Business"),
    "IAB4": N_("Careers"),
    "IAB5": N_("Education"),
    "IAB1": N_("Arts and entertainment"),
    "IAB22": N_("Other shopping"),
}
"""Category -> what it is called; those of which shops and services are made, the usual ones first."""
