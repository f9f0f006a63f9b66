"""How every command finds its settings: the file named by --config or GROSZ_CONFIG, then the environment."""

import os
from pathlib import Path
from typing import Annotated

import typer
from typer._click.core import ParameterSource
from typer._click.globals import get_current_context

from core.config import Settings, load_settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (TOML).", envvar="GROSZ_CONFIG", show_default=False),
]


def is_file_typed(config: Path | None) -> bool:
    """Whether the settings file was named on the command line, not only exported as GROSZ_CONFIG for every command."""
    context = get_current_context(silent=True)
    is_exported = context is not None and context.get_parameter_source("config") is ParameterSource.ENVIRONMENT
    return config is not None and not is_exported


def settings_for(config: Path | None) -> Settings:
    """Settings in force. Raises ConfigError with every fault."""
    settings = load_settings(config, os.environ)
    use_templates(settings)
    return settings


def use_templates(settings: Settings) -> None:
    """Read the shop's own templates, where there are any. Raises TemplateError."""
    if settings.ads.templates:
        from creatives.templates.library import use_folder

        use_folder(settings.ads.templates)
