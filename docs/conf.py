"""Sphinx configuration."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "Matrica"
author = "the Matrica contributors"
copyright = "2026, the Matrica contributors"
try:
    release = importlib.metadata.version("matrica")
except importlib.metadata.PackageNotFoundError:
    release = "from source"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "api_reference",
    "benchmark_records",
]
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]
nitpicky = False
default_role = "code"
toc_object_entries_show_parents = "hide"

# API reference
api_packages = ["numerics", "ssm", "geometry", "solvers"]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_validation_checks = {"GL08", "SS01", "PR01", "PR02", "PR07", "RT01"}
numpydoc_validation_exclude = {
    r"\.get_metadata_routing$",
    r"\.set_\w+_request$",
    # Results: their fields are documented as attributes, and nobody constructs them.
    r"\.\w+(Solution|Solution2D|Eigenvalues|Fit)$",
    r"\.(Guarantee|OrthogonalOperator|Sketch)$",
    r"\.(FrechetMean|MdopEmbedding|NormalizedBatch)$",
    # What torch and GPyTorch call: the shapes are in the class's docstring, or theirs.
    r"\.nn\.\w+\.(extra_repr|forward|right_inverse)$",
    r"\.gpytorch\.\w+\.\w+$",
}

# Gallery
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_\w+\.py$",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": tuple(api_packages),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "matplotlib_animations": False,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "gallery_style.reset"),
}

# Benchmark records
benchmark_records_dir = str(HERE.parent / "benchmarks" / "results")

# Pages
html_theme = "pydata_sphinx_theme"
html_title = "Matrica"
html_static_path = ["_static"]
html_css_files = ["matrica.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "Matrica"},
    "show_toc_level": 2,
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "tango",
}
html_sidebars = {
    page: [] for page in ("index", "start", "conventions", "benchmarks", "contributing", "search")
}

# MathJax comes out of a package and is copied beside the pages: reading them fetches nothing.
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}
