"""`grosz template`: the templates of dynamic ads: listed, explained, checked, looked at."""

import html
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from admin.cli.options import JsonOption, print_json
from core.errors import InputError
from core.model import Format
from creatives.product import FeedProduct
from creatives.templates.engine import TemplateError
from creatives.templates.library import AdTemplate, templates
from creatives.templates.native_samples import PLACES, native_creative_of, native_preview
from creatives.templates.page import FRAME_PERMISSIONS
from creatives.templates.samples import UGLY, USUAL, preview, sample_creative

app = typer.Typer(no_args_is_help=True, help="List, explain, check and preview templates of dynamic ads.")

_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>body{{background:#ddd;'
    "font:13px sans-serif}}figure{{display:inline-block;margin:12px;vertical-align:top}}iframe{{border:0}}</style>"
    "{frames}"
)

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", envvar="GROSZ_ADS_TEMPLATES", help="Folder with templates of your own, beside those of Grosz."
    ),
]
NameArgument = Annotated[str, typer.Argument(help="The template's name: that of its folder.")]


@app.command("list")
def list_command(as_json: JsonOption = False, folder: FolderOption = None) -> None:
    """Name the templates, with their formats and sizes.

    Example: grosz template list
    """
    found = templates(str(folder or ""))
    if as_json:
        print_json({name: template.schema for name, template in found.items()})
        return
    table = Table("template", "format", "what it shows", "sizes")
    for name, template in found.items():
        schema = template.schema
        table.add_row(name, schema.format.value, schema.about, " ".join(schema.sizes))
    Console().print(table)


@app.command("show")
def show_command(name: NameArgument, as_json: JsonOption = False, folder: FolderOption = None) -> None:
    """Explain the parameters of a template.

    Example: grosz template show grid
    """
    schema = _template(name, folder).schema
    if as_json:
        print_json(schema)
        return
    table = Table("parameter", "takes", "unless set", "what it is")
    for parameter, rule in schema.parameters.items():
        table.add_row(parameter, rule.kind.value, rule.default, rule.about)
    Console().print(table)


@app.command("lint")
def lint_command(
    path: Annotated[Path, typer.Argument(help="The template's folder.", exists=True, file_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Check a folder: what is missing, what is not allowed, and in which line. Exits with 1 if anything is.

    Example: grosz template lint ads/autumn
    """
    try:
        template = AdTemplate(path.absolute())
    except TemplateError as error:
        faults = [f"{fault.pointer}: {fault.message}" for fault in error.faults] or [error.message]
        if as_json:
            print_json({"faults": faults})
        else:
            typer.echo("\n".join(faults))
        raise typer.Exit(1) from None
    if as_json:
        print_json({"faults": []})
    else:
        typer.echo(f"{template.name} can be used")


@app.command("preview")
def preview_command(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("preview.html"),
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter, such as accent=#c9184a; repeatable.")
    ] = None,
    language: Annotated[str, typer.Option("--language", help="Language of the ad, such as pl, en, de, ar.")] = "pl",
    ugly: Annotated[bool, typer.Option("--ugly", help="With the products that ads fail with.")] = False,
    as_json: JsonOption = False,
    folder: FolderOption = None,
) -> None:
    """Write a page that shows a template in all its sizes, with made-up products; nothing is loaded by it.

    Example: grosz template preview grid --set shop=Szpilka --set accent=#c9184a --out grid.html
    """
    template = _template(name, folder)
    values = dict(_pair(each) for each in parameters or ())
    products = UGLY if ugly else USUAL
    if template.schema.format is Format.NATIVE:
        frames, sizes = _native_frames(template, values, language, products), list(PLACES)
    else:
        frames, sizes = [], list(template.schema.sizes)
        for size in sizes:
            creative = sample_creative(template, size, values, language)
            frames.append(_frame(preview(creative, template, products), (creative.width, creative.height), size))
    out.write_text(_PAGE.format(name=name, frames="".join(frames)), encoding="utf-8")
    if as_json:
        print_json({"file": str(out), "sizes": sizes})
    else:
        typer.echo(f"{out}: {name} in {len(sizes)} sizes")


def _native_frames(
    template: AdTemplate, values: dict[str, str], language: str, products: tuple[FeedProduct, ...]
) -> list[str]:
    """Each place of a publisher's page with each product."""
    creative = native_creative_of(template, values, language)
    return [
        _frame(native_preview(creative, template, name, product), (place.width, place.height), name)
        for name, place in PLACES.items()
        for product in products
    ]


def _frame(page: str, measures: tuple[int, int], title: str) -> str:
    width, height = measures
    return (
        f'<figure><iframe srcdoc="{html.escape(page)}" width="{width}" height="{height}" '
        f'sandbox="{FRAME_PERMISSIONS}" title="{title}"></iframe><figcaption>{title}</figcaption></figure>'
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"'{text}' is no parameter", hint="--set NAME=VALUE")
    return name, value


def _template(name: str, folder: Path | None) -> AdTemplate:
    found = templates(str(folder or ""))
    if name not in found:
        raise InputError(f"there is no template {name}", hint=f"there are {', '.join(found)}")
    return found[name]
