from .images import measure_image as measure_image
from .images import open_image as open_image
from .metadata import strip_file as strip_file
from .pages import Page as Page
from .pages import Problem as Problem
from .pages import find_pages as find_pages
from .pages import open_pages as open_pages
