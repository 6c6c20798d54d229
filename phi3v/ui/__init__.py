"""The page; with app.py the only part that imports gradio. Must not import torch."""

from phi3v.ui.page import build_page, launch_options

__all__ = ["build_page", "launch_options"]
