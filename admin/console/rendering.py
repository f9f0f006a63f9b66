"""Pages from templates: escaped by default, with the headers that keep everything foreign out."""

import functools
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from admin.console.assets import asset_url
from admin.console.browser import Visitor
from admin.console.cures import cure_of, cure_of_finding, finding_text
from admin.console.words import LANGUAGES
from core.network.headers import CSP
from segments.audiences.ready_made import default_text

# No inline script or style: what a text of an advertiser might inject could not run. Frames show creatives, which are
# sandboxed documents of their own.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    CSP: POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, compiled once a process."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["asset"] = asset_url
    found.globals["languages"] = LANGUAGES
    found.globals["default_text"] = default_text
    found.globals.update(cure_of=cure_of, cure_of_finding=cure_of_finding, finding_text=finding_text)
    return found


def render(template: str, visitor: Visitor, **values: Any) -> str:  # noqa: ANN401 - what the template shows
    """The HTML of a template. Templates call `_` for texts, `words` for numbers, money and dates."""
    principal = visitor.principal
    common = {
        "_": visitor.words.text,
        "words": visitor.words,
        "caller": principal,
        "csrf": principal.csrf_token if principal else "",
        "here": "",
        "visitor": visitor,
    }
    return environment().get_template(template).render(common | values)


def page(
    template: str,
    visitor: Visitor,
    code: int = HTTPStatus.OK,
    **values: Any,  # noqa: ANN401
) -> web.Response:
    """A template as an answer with the HTTP status `code`."""
    text = render(template, visitor, **values)
    return web.Response(text=text, status=code, content_type="text/html", headers=HEADERS)


def go(path: str) -> web.Response:
    """The answer to a form: the browser asks for `path` next, so that loading again does not send the form again."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path} | HEADERS)


def go_whole(path: str) -> web.Response:
    """The answer to a script that asked for a part of a page: the browser leaves for `path` (htmx's HX-Redirect)."""
    return web.Response(status=HTTPStatus.OK, headers={"HX-Redirect": path} | HEADERS)
