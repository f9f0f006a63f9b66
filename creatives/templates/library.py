"""Templates as folders: what a designer writes, read once and compiled.

A folder has `template.json` (what it is, its parameters, its sizes), `ad.html` (the frame), `product.html` (one product
in it) and `style.css`. A template of native ads has `template.json` alone: publishers have the markup. The folders here
come with Grosz; `ads.templates` names one with a shop's own (docs/product-ads.md).
"""

import enum
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from core.errors import Fault
from core.model import AdDelivery, Creative, Format, TemplateUse
from creatives.templates.colours import COLOUR, LEAST_CONTRAST, contrast
from creatives.templates.engine import TemplateError, TemplateText, can_be_named
from creatives.templates.lint import lint_css, lint_html

OWN: Final = Path(__file__).parent / "folders"
BASE_CSS: Final = (Path(__file__).parent / "base.css").read_text("utf-8")

MAX_FILE_BYTES: Final = 64 * 1024
SIZE: Final = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")

FRAME_NAMES: Final = frozenset({
    "width", "height", "size", "language", "count", "products", "landing", "call", "advertisement",
})  # fmt: skip
"""What `ad.html` can name besides its parameters; `products` are those of `product.html`."""

PRODUCT_NAMES: Final = frozenset({
    "click", "title", "brand", "image", "initial", "price", "old_price", "discount", "delivery", "last_pieces",
    "loyalty", "call", "price_class",
})  # fmt: skip
"""What `product.html` can name; texts are empty where a product has none."""

ASSET_NAMES: Final = PRODUCT_NAMES - {"click", "image", "initial", "price_class"}
"""What an asset of a native template can name; a picture, a price and a link are the product's by themselves."""

RESERVED: Final = (FRAME_NAMES | PRODUCT_NAMES) - {"call"} | frozenset({"self", "loop"})
"""What no parameter may be called, since these names are filled in already; a parameter `call` is used for it."""

ASSET_KINDS: Final = frozenset({"titles", "texts", "more_texts", "sponsored", "display_url", "call_to_action"})
"""Which assets a native template fills, as creatives name them (core.model.NativeAssets)."""


class TemplateParameterKind(enum.StrEnum):
    """What a parameter takes."""

    TEXT = "text"
    COLOUR = "colour"  # #rrggbb
    IMAGE = "image"  # address of an image
    SWITCH = "switch"  # yes or no


class TemplateParameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter of a template: its kind, what it is for, and what stands where a creative does not set it."""

    kind: TemplateParameterKind
    about: str
    default: str = ""
    max_chars: int = 200


Pixels = Annotated[int, Meta(ge=1, le=4_096)]


class SizeLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One size: how many products it shows, and the room of each."""

    products: Annotated[int, Meta(ge=1, le=20)]
    title_width: Pixels
    title_lines: Annotated[int, Meta(ge=0, le=20)]
    font: Annotated[int, Meta(ge=11, le=200)]  # pixels of the title's letters
    picture: tuple[Pixels, Pixels] | None = None  # None: without a picture


class TemplateSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`template.json`."""

    title: str
    about: str
    format: Format = Format.BANNER
    parameters: dict[str, TemplateParameter] = {}
    sizes: dict[str, SizeLayout] = {}
    assets: dict[str, list[str]] = {}
    """Of a native one, by kind: texts of which a page gets the longest that it has room for."""


class AdTemplate:
    """A folder that was read. `frame` and `product` are None for a native one, `assets` is empty for all others."""

    __slots__ = ("assets", "css", "frame", "name", "product", "schema")

    def __init__(self, folder: Path) -> None:
        """Raises TemplateError for a folder that is not one, or has what no template may have."""
        self.name = folder.name
        self.schema = _schema(_text_of(folder / "template.json"), self.name)
        self.frame: TemplateText | None = None
        self.product: TemplateText | None = None
        self.css = ""
        names = frozenset(self.schema.parameters)
        self.assets = _assets(self.schema.assets, self.name, ASSET_NAMES | names)
        if self.schema.format is not Format.BANNER:
            return
        frame, product, self.css = (_text_of(folder / name) for name in ("ad.html", "product.html", "style.css"))
        faults = [
            *lint_html(frame, "ad.html"), *lint_html(product, "product.html"), *lint_css(self.css, "style.css"),
        ]  # fmt: skip
        if faults:
            raise TemplateError(f"the template {self.name} cannot be used", faults=faults)
        self.frame = TemplateText(frame, f"{self.name}/ad.html", FRAME_NAMES | names)
        self.product = TemplateText(product, f"{self.name}/product.html", PRODUCT_NAMES | names)

    def values(self, parameters: Mapping[str, str]) -> dict[str, str | bool]:
        """Each parameter's value: a creative's or the default."""
        found: dict[str, str | bool] = {}
        for name, parameter in self.schema.parameters.items():
            value = parameters.get(name) or parameter.default
            found[name] = value == "yes" if parameter.kind is TemplateParameterKind.SWITCH else value
        return found

    def layout(self, width: int, height: int) -> SizeLayout | None:
        return self.schema.sizes.get(f"{width}x{height}")


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device has no end
            raise TemplateError(f"{path} is no file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TemplateError(f"{path} has more than {MAX_FILE_BYTES // 1024} KiB")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from None


def _schema(text: str, name: str) -> TemplateSchema:
    try:
        schema = msgspec.json.decode(text, type=TemplateSchema)
    except msgspec.DecodeError as error:
        raise TemplateError(f"{name}/template.json: {error}") from None
    wrong = [size for size in schema.sizes if SIZE.fullmatch(size) is None]
    if wrong or (schema.format is Format.BANNER and not schema.sizes):
        raise TemplateError(f"{name}/template.json: sizes are such as 300x250, not {wrong or 'missing'}")
    if schema.format not in (Format.BANNER, Format.NATIVE):
        raise TemplateError(f"{name}/template.json: templates are of banner or native ads, not of {schema.format}")
    for each, parameter in schema.parameters.items():
        if each in RESERVED or not can_be_named(each):
            hint = "give it a name of letters, digits and _ that is none of the template's own"
            raise TemplateError(f"{name}/template.json: no parameter may be called {each}", hint=hint)
        if parameter.default and (why := _why_not(parameter, parameter.default)):
            raise TemplateError(f"{name}/template.json: the default of the parameter {each} {why}")
    if schema.format is Format.NATIVE and not schema.assets.get("titles"):
        hint = 'add "assets": {"titles": ["{{ title }}"]}'
        raise TemplateError(f"{name}/template.json: a native ad has a title", hint=hint)
    return schema


def _assets(texts: Mapping[str, list[str]], name: str, known: frozenset[str]) -> Mapping[str, tuple[TemplateText, ...]]:
    unknown = sorted(texts.keys() - ASSET_KINDS)
    if unknown:
        hint = f"there are {', '.join(sorted(ASSET_KINDS))}"
        raise TemplateError(f"{name}/template.json: no asset is called {', '.join(unknown)}", hint=hint)
    return {
        kind: tuple(TemplateText(each, f"{name}/template.json, {kind}", known) for each in own)
        for kind, own in texts.items()
    }


@functools.cache
def templates(folder: str = "") -> Mapping[str, AdTemplate]:
    """All templates by name: Grosz's own, and those in `folder`, which come before them. Raises TemplateError."""
    found = _folders(OWN) | (_folders(Path(folder)) if folder else {})
    return {name: AdTemplate(path) for name, path in found.items()}


def _folders(parent: Path) -> dict[str, Path]:
    """By name; without those of other programs, such as `.git`, and `..data` of a volume of Kubernetes."""
    try:
        return {each.name: each for each in sorted(parent.iterdir()) if each.is_dir() and not each.name.startswith(".")}
    except OSError as error:
        raise TemplateError(f"the folder of templates {parent} cannot be read: {error.strerror}") from None


_folder = ""


def use_folder(folder: str) -> None:
    """Read all templates, those of a folder too; once, when a process starts. Raises TemplateError."""
    global _folder
    templates(folder)
    _folder = folder


def template_of(name: str) -> AdTemplate | None:
    return templates(_folder).get(name)


def check_template(creative: Creative) -> list[Fault]:
    """What would keep a creative from being shown by its template; pointers are relative to the creative."""
    use = creative.template
    if use is None:
        return []
    faults = []
    if creative.products is None:
        hint = "set products, at best to {}: the usual strategies"
        faults.append(Fault("/products", "required", "a template shows products of a feed", hint))
    template = template_of(use.name)
    if template is None:
        hint = f"there are {', '.join(sorted(templates(_folder)))}"
        return [*faults, Fault("/template/name", "unknown", f"there is no template {use.name}", hint)]
    if template.schema.format is not creative.format:
        text = f"{use.name} is a template of {template.schema.format} ads"
        return [*faults, Fault("/template/name", "other_format", text, "take another one")]
    if creative.format is Format.BANNER and template.layout(creative.width, creative.height) is None:
        hint = f"there are {', '.join(template.schema.sizes)}"
        faults.append(Fault("/width", "no_size", f"{use.name} has no {creative.width}x{creative.height}", hint))
    if creative.format is Format.NATIVE and use.delivery is AdDelivery.IMPRESSION:
        text = "a native ad is in the bid whole: its page loads nothing of ours that could be filled later"
        faults.append(Fault("/template/delivery", "not_in_bid", text, "set inline or auto"))
    return [*faults, *_check_parameters(template, use)]


def _check_parameters(template: AdTemplate, use: TemplateUse) -> list[Fault]:
    faults = []
    for name, value in use.parameters.items():
        pointer, parameter = f"/template/parameters/{name}", template.schema.parameters.get(name)
        if parameter is None:
            hint = f"there are {', '.join(template.schema.parameters)}"
            faults.append(Fault(pointer, "unknown", f"{use.name} has no parameter {name}", hint))
        elif value and (why := _why_not(parameter, value)):
            faults.append(Fault(pointer, "value", why, parameter.about))
    if faults:
        return faults
    values = template.values(use.parameters)
    text, background = str(values.get("text", "")), str(values.get("background", ""))
    if text and background and contrast(text, background) < LEAST_CONTRAST:
        message = f"{text} on {background} cannot be read: a contrast of {contrast(text, background):.1f}"
        faults.append(Fault("/template/parameters/text", "contrast", message, f"at least {LEAST_CONTRAST}"))
    return faults


def _why_not(parameter: TemplateParameter, value: str) -> str:
    match parameter.kind:
        case TemplateParameterKind.COLOUR if COLOUR.fullmatch(value) is None:
            return "is no colour such as #0b57d0"
        case TemplateParameterKind.SWITCH if value not in ("yes", "no"):
            return "is neither yes nor no"
        case TemplateParameterKind.IMAGE if not value.startswith(("https://", "http://", "data:image/")):
            return "is no address of an image"
        case TemplateParameterKind.TEXT if len(value) > parameter.max_chars:
            return f"has {len(value)} characters, {parameter.max_chars} at most"
        case _:
            return ""
