"""Canvases, fonts, and the frames that the model gets.

Knows the position of every mark (a character, a piece of a shape) on a picture, and after the image
processor's scaling; knows nothing of questions and answers.
"""

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFont

from phi3v.model.crops import fit_within_crops
from training.colours import Rgb, luminance, sample_background, sample_ink

FRAME = 336  # the vision tower's input; num_crops 1 makes one such frame of every picture

FONT_ROOT = Path("/usr/share/fonts/truetype")
TRAINED_FONTS = (
    *(
        f"dejavu/DejaVu{name}.ttf"
        for name in (
            *("Sans", "Sans", "Sans", "Sans-Bold", "Sans-Bold", "Sans-Oblique", "SansCondensed"),
            *("SansCondensed-Bold", "Serif", "Serif-Bold", "SansMono", "SansMono-Bold"),
        )
    ),
    *(
        f"liberation/Liberation{name}.ttf"
        for name in (
            *("Sans-Regular", "Sans-Regular", "Sans-Bold", "Sans-Bold", "Sans-Italic"),
            *("Serif-Regular", "Serif-Regular", "Serif-Bold", "Serif-Italic"),
            *("Mono-Regular", "Mono-Bold", "SansNarrow-Bold"),
        )
    ),
    *(
        f"freefont/Free{name}.ttf"
        for name in ("Sans", "SansBold", "Serif", "SerifBold", "Mono", "MonoBold", "SansOblique")
    ),
    *(f"lato/Lato-{name}.ttf" for name in ("Regular", "Bold", "Black", "Light")),
    *(f"roboto/unhinted/RobotoTTF/Roboto-{name}.ttf" for name in ("Regular", "Bold", "Medium")),
    "roboto/unhinted/RobotoCondensed-Bold.ttf",
    *(f"crosextra/Carlito-{name}.ttf" for name in ("Regular", "Bold")),
)
PLAIN_FONTS = (  # the most common faces
    *(f"dejavu/DejaVu{name}.ttf" for name in ("Sans", "Sans", "Sans-Bold", "Sans-Bold", "Serif")),
    *(
        f"liberation/Liberation{name}.ttf"
        for name in ("Sans-Regular", "Sans-Bold", "Serif-Regular", "Serif-Bold")
    ),
    *(f"lato/Lato-{name}.ttf" for name in ("Regular", "Bold")),
    *(f"roboto/unhinted/RobotoTTF/Roboto-{name}.ttf" for name in ("Regular", "Bold")),
)
HELD_OUT_FONTS = (
    *(f"open-sans/OpenSans-{name}.ttf" for name in ("Regular", "Bold", "Semibold", "Italic")),
    *(f"crosextra/Caladea-{name}.ttf" for name in ("Regular", "Bold")),
)
DEFAULT_FONT = "default"  # the face that comes with Pillow

SIZES = (  # width, height of common canvases
    *((336, 336), (400, 300), (480, 360), (640, 480), (512, 512), (320, 200), (448, 448)),
    *((300, 300), (256, 256), (500, 300), (640, 360), (600, 400), (400, 400), (320, 240)),
    *((224, 224), (300, 400), (360, 480), (480, 640), (480, 200), (640, 240), (400, 200)),
)


LARGE_SIZES = (  # of canvases that are cut into two by two crops
    *((640, 480), (600, 450), (560, 420), (512, 384), (672, 672), (512, 512), (600, 400)),
    *((480, 400), (500, 380), (420, 300), (400, 300), (660, 440), (640, 400), (800, 600)),
    *((480, 640), (450, 600), (400, 560), (360, 480), (336, 480), (400, 600), (600, 800)),
    *((460, 460), (480, 360), (500, 400), (360, 500), (400, 400), (800, 600), (1024, 768)),
    *((1000, 700), (720, 540), (900, 1200), (1280, 960), (800, 800), (768, 1024)),
)
LARGEST_SIZES = (  # of canvases that are cut into three by three crops
    *((800, 600), (1024, 768), (1000, 700), (720, 540), (1280, 960), (1000, 750), (900, 700)),
    *((1000, 1000), (800, 800), (1200, 900), (960, 720), (1100, 800), (750, 550), (1344, 1000)),
    *((600, 800), (768, 1024), (900, 1200), (700, 1000), (750, 1000), (720, 900)),
)
OBLONG = {  # by (longer, shorter) side of the grid: the longer side in pixels, the aspect ratio
    (2, 1): ((340, 900), (2.0, 2.95)),
    (3, 1): ((480, 1344), (3.02, 3.95)),
    (3, 2): ((690, 1344), (1.52, 2.95)),
}


class Dice(random.Random):
    """A random generator that also carries how varied samples are to be.

    `breadth` is the share of choices made among all options; the others are made among the common
    ones. `grid` is the rows and columns of crops that pictures will be cut into. A plain
    random.Random counts as breadth 1 and one crop.
    """

    def __new__(cls, seed: str, breadth: float) -> "Dice":  # noqa: D102
        return super().__new__(cls, seed)

    def __init__(self, seed: str, breadth: float):
        super().__init__(seed)
        self.breadth = breadth
        self.grid = (1, 1)


def get_grid(rng: random.Random) -> tuple[int, int]:
    """Return the rows and columns of crops that drawn pictures will be cut into."""
    return getattr(rng, "grid", (1, 1))


def count_crops(rng: random.Random) -> int:
    """Return the number of crops along the longer side of drawn pictures."""
    return max(get_grid(rng))


def is_wide(rng: random.Random) -> bool:
    """True if the next choice is made among all options; may advance the generator."""
    breadth = getattr(rng, "breadth", 1.0)
    return breadth >= 1 or rng.random() < breadth


@dataclass(frozen=True)
class Mark:
    """A point of a picture, in its pixels, and the token that names what is drawn there.

    `middle` is the centre of the shape it belongs to.
    """

    x: float
    y: float
    token: str
    name: str  # of what it belongs to: a line of text, "red circle"
    middle: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """A drawn picture, and the marks that a reader should find in it."""

    image: Image.Image
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Sample:
    """A question about one or several pictures with the expected answer, and follow-up turns."""

    task: str
    pictures: tuple[Picture, ...]
    question: str
    answer: str
    more: tuple[tuple[str, str], ...] = ()  # questions and answers of the turns that follow


@dataclass(frozen=True)
class Paper:
    """Size, colours and crops of a canvas."""

    width: int
    height: int
    background: Rgb
    background_name: str
    ink: Rgb
    crops_across: int = 1

    @property
    def scale(self) -> float:
        """Frame pixels per canvas pixel."""
        return self.crops_across * FRAME / max(self.width, self.height)

    def blank(self) -> Image.Image:
        """Return an empty canvas."""
        return Image.new("RGB", (self.width, self.height), self.background)


def choose_paper(rng: random.Random) -> Paper:
    """Choose a canvas of a common or random size, a plain background and an ink with contrast."""
    crops = count_crops(rng)
    rows, columns = get_grid(rng)
    if rows != columns:
        longest, times = OBLONG[max(rows, columns), min(rows, columns)]
        longer = rng.randint(*longest)
        sides = longer, round(longer / rng.uniform(*times))
        return make_paper(rng, *(sides if columns > rows else sides[::-1]))
    if rng.random() < 0.7:
        width, height = rng.choice((SIZES, LARGE_SIZES, LARGEST_SIZES)[crops - 1])
    else:
        width = rng.randint(*((224, 640), (337, 1100), (690, 1344))[crops - 1])
        height = round(width * rng.uniform((0.45, 0.55, 0.68)[crops - 1], 1.0))
    return make_paper(rng, width, height)


def make_paper(rng: random.Random, width: int, height: int) -> Paper:
    """Choose colours for a canvas of this size; of high contrast unless `is_wide`."""
    if is_wide(rng):
        background, name = sample_background(rng)
        ink = sample_ink(rng, background)
        return Paper(width, height, background, name, ink, count_crops(rng))
    while True:
        background, name = sample_background(rng)
        if name in ("white", "black", "light", "dark") or rng.random() < 0.3:
            break
    ink = sample_ink(rng, background)
    if abs(luminance(ink) - luminance(background)) < 150:
        ink = (0, 0, 0) if luminance(background) > 110 else (255, 255, 255)
    return Paper(width, height, background, name, ink, count_crops(rng))


@lru_cache
def list_fonts(held_out: bool = False) -> tuple[str, ...]:
    """Return installed fonts: of the training families and Pillow's default, or held-out ones.

    Raises:
        FileNotFoundError: none of the families is installed.
    """
    names = HELD_OUT_FONTS if held_out else TRAINED_FONTS
    found = tuple(name for name in names if (FONT_ROOT / name).exists())
    if not found:
        raise FileNotFoundError(
            f"no font of {names[0]} and {len(names) - 1} others under {FONT_ROOT}: "
            "install the packages that requirements-training.txt names"
        )
    return found if held_out else (*found, *[DEFAULT_FONT] * 4)


def choose_font(rng: random.Random, held_out: bool) -> str:
    """Choose an installed font: any, or one of the most common ones."""
    fonts = list_fonts(held_out)
    if not held_out and not is_wide(rng):
        fonts = tuple(f for f in fonts if f in PLAIN_FONTS or f == DEFAULT_FONT) or fonts
    return rng.choice(fonts)


@lru_cache(maxsize=6000)
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a font face at a size in pixels; cached, as opening costs more than drawing a word."""
    if name == DEFAULT_FONT:
        face = ImageFont.load_default(size)
        assert isinstance(face, ImageFont.FreeTypeFont), "Pillow is built without FreeType"
        return face
    # The basic layout engine is several times faster, and Latin text needs no shaping.
    return ImageFont.truetype(str(FONT_ROOT / name), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=400_000)
def measure_glyph(name: str, size: int, character: str) -> tuple[float, float, float]:
    """Return a glyph's advance, and its ink's centre from the pen position ("la" anchor)."""
    font = load_font(name, size)
    left, top, right, bottom = font.getbbox(character)
    return font.getlength(character), (left + right) / 2, (top + bottom) / 2


@lru_cache(maxsize=6000)
def measure_line(name: str, size: int) -> int:
    """Return the height of a line, ascender to descender."""
    ascent, descent = load_font(name, size).getmetrics()
    return ascent + descent


def measure_word(name: str, size: int, word: str) -> float:
    """Return the width of a word, the sum of its glyphs' advances."""
    return sum(measure_glyph(name, size, character)[0] for character in word)


def mark_word(name: str, size: int, word: str, x: float, y: float) -> list[Mark]:
    """Return the marks of a word or line drawn at (x, y), one per character, spaces included."""
    marks = []
    _, _, middle = measure_glyph(name, size, "x")
    for character in word:
        advance, centre_x, centre_y = measure_glyph(name, size, character)
        if character == " ":
            centre_x, centre_y = advance / 2, middle
        marks.append(Mark(x + centre_x, y + centre_y, character, word))
        x += advance
    return marks


def locate(width: int, height: int, num_crops: int = 1) -> tuple[float, int, int]:
    """Return scale, left and top that map a picture's pixels to those of the padded picture."""
    fitted_width, fitted_height = fit_within_crops(width, height, num_crops)
    scale = max(fitted_width, fitted_height) / max(width, height)
    return scale, -fitted_width % FRAME // 2, -fitted_height % FRAME // 2
