"""A page of a template in this folder and its values; every string is escaped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page; a value that the template uses and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
