"""How Sphinx builds the documentation: `sphinx-build -W --keep-going -b html docs build/docs`."""

import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]  # building/, and the package that stands beside it

project = "plateaus"
author = "The plateaus developers"
copyright = f"2026, {author}"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "building.docstrings",
    "building.markers",
    "building.mathml",
]
exclude_patterns = ["building"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["plateaus.css"]
html_copy_source = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4

napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes stand in a list; properties have entries of their own
napoleon_custom_sections = [("Fields", "params_style")]
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"


def setup(app: Any) -> None:
    """Show tables in CSV as the text that they are."""
    app.add_lexer("csv", TextLexer)
