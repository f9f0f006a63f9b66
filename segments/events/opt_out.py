"""The page on which a shopper opts out, in the languages that we have."""

from typing import Final

import msgspec

OPT_OUT_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}button{font:inherit;padding:.5em 1em}"
)


class OptOutWords(msgspec.Struct, frozen=True):
    """One language's texts."""

    title: str
    heading: str
    offer: str
    button: str
    done: str


LANGUAGES: Final = {
    "en": OptOutWords(
        "Opt out",
        "Advertising profile",
        "Shops you visited let us show you their products elsewhere. The button deletes what we know of this browser "
        "and stops it for good.",
        "Delete my profile and opt out",
        "You are opted out: no profile of this browser is kept.",
    ),
    "pl": OptOutWords(
        "Rezygnacja",
        "Profil reklamowy",
        "Sklepy, które odwiedzasz, pozwalają pokazywać Ci ich produkty w innych miejscach. Przycisk usuwa to, co "
        "wiemy o tej przeglądarce, i kończy to na dobre.",
        "Usuń mój profil i zrezygnuj",
        "Zrezygnowano: nie ma profilu tej przeglądarki.",
    ),
}


def opt_out_page(language: str, *, is_out: bool) -> str:
    """The page in one of LANGUAGES; what it says depends on whether the browser has opted out."""
    words = LANGUAGES[language]
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{words.title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{OPT_OUT_STYLE}</style>'
        f"<h1>{words.heading}</h1><p>{words.done if is_out else words.offer}</p>"
        f'<form method="post"><button>{words.button}</button></form>'
    )
