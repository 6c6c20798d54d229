from .difference import Difference as Difference
from .difference import compare_pictures as compare_pictures
from .difference import draw_map as draw_map
