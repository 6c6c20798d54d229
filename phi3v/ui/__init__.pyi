from .page import build_page as build_page
from .page import launch_options as launch_options
