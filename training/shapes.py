"""Pictures of one or two coloured shapes, and questions that ask what they show."""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from training.canvas import Mark, Paper, Picture, Sample, choose_paper, is_wide
from training.colours import COLOURS, Rgb, distance, sample_colour

SHAPES = (
    *("circle", "square", "triangle", "star", "rectangle", "ellipse"),
    *("diamond", "heart", "ring", "arrow", "cross"),
)
COMMON = (4, 4, 4, 3, 2, 2, 2, 2, 1, 1, 1)  # weights of the kinds, unless canvas.is_wide
QUESTIONS = (
    "Describe this picture.",
    "Describe the picture.",
    "Describe this image.",
    "Describe the image.",
    "Describe this image in one sentence.",
    "What is shown in this image?",
    "What is shown in this picture?",
    "What is this?",
    "What do you see?",
    "What do you see in this picture?",
    "What can you see in the image?",
    "What is in the picture?",
    "What is in this image?",
    "What does this image show?",
    "What shape is this and what colour is it?",
    "Please describe what you see.",
    "Tell me about this picture.",
)
MARK_STEP = 7  # frame pixels between the marks of a shape: half a patch


@dataclass(frozen=True)
class Shape:
    """One coloured shape; centre and size in canvas pixels."""

    colour: str
    kind: str
    rgb: Rgb
    x: float
    y: float
    width: float
    height: float
    turn: float  # degrees
    outline: Rgb | None
    outline_width: int

    @property
    def name(self) -> str:
        """The name in an answer: "a red circle"."""
        return name_shape(self.colour, self.kind)


def name_shape(colour: str, kind: str) -> str:
    """Return "a red circle", "an orange star"."""
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {kind}"


def list_points(kind: str, ratio: float) -> list[tuple[float, float]]:
    """Return a kind's polygon within -1..1; `ratio` in 0..1 varies its proportions."""
    if kind in ("square", "rectangle"):
        return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if kind == "diamond":
        return [(0, -1), (1, 0), (0, 1), (-1, 0)]
    if kind == "triangle":
        return [(0, -1), (1, 1), (-1, 1)]
    if kind == "star":
        inner = 0.36 + 0.14 * ratio
        corners = range(10)
        return [
            (
                math.sin(i * math.pi / 5) * (inner if i % 2 else 1),
                -math.cos(i * math.pi / 5) * (inner if i % 2 else 1),
            )
            for i in corners
        ]
    if kind == "heart":
        angles = [i * math.pi / 24 for i in range(48)]
        return [
            (
                math.sin(a) ** 3,
                -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a))
                / 17
                - 0.05,
            )
            for a in angles
        ]
    if kind == "arrow":
        shaft, neck = 0.18 + 0.2 * ratio, -0.1 + 0.4 * ratio
        head = [(neck, -1), (1, 0), (neck, 1)]
        return [(-1, -shaft), (neck, -shaft), *head, (neck, shaft), (-1, shaft)]
    if kind == "cross":
        arm = 0.2 + 0.2 * ratio
        quarter = [(arm, -1), (arm, -arm), (1, -arm)]
        points = []
        for turn in range(4):
            sine, cosine = round(math.sin(turn * math.pi / 2)), round(math.cos(turn * math.pi / 2))
            points += [(x * cosine - y * sine, x * sine + y * cosine) for x, y in quarter]
        return points
    steps = [i * math.pi / 32 for i in range(64)]
    return [(math.cos(a), math.sin(a)) for a in steps]  # circle, ellipse, ring


def choose_kind(rng: random.Random) -> str:
    """Choose a kind of shape."""
    return rng.choice(SHAPES) if is_wide(rng) else rng.choices(SHAPES, weights=COMMON)[0]


def choose_turn(rng: random.Random, kind: str) -> float:
    """Choose a rotation in degrees, mostly 0; triangles and arrows may point elsewhere."""
    if not is_wide(rng):
        return 0
    if kind == "arrow":
        return rng.choice((0, 0, 90, 180, 270))
    if kind == "triangle":
        return rng.choice((0, 0, 0, 0, 180, 90, 270))
    if rng.random() < 0.12 and kind not in ("square", "diamond"):
        return rng.uniform(-12, 12)
    return 0


def choose_size(rng: random.Random, kind: str, extent: float) -> tuple[float, float]:
    """Choose width and height of a shape whose longer side is `extent`."""
    if kind in ("rectangle", "ellipse"):
        short = extent * rng.uniform(0.4, 0.68)
        return (extent, short) if rng.random() < 0.7 else (short, extent)
    if kind in ("circle", "square", "ring", "cross", "star"):
        return extent, extent
    if kind == "diamond":
        return (extent, extent) if rng.random() < 0.5 else (extent * rng.uniform(0.6, 1), extent)
    if kind == "arrow":
        return extent, extent * rng.uniform(0.4, 0.9)
    return extent, extent * rng.uniform(0.8, 1.0)


def place_shape(
    rng: random.Random, paper: Paper, box: tuple[float, float, float, float], **fixed: str
) -> Shape:
    """Choose a shape inside a box (left, top, right, bottom); colour and kind may be fixed."""
    kind = fixed.get("kind") or choose_kind(rng)
    colour = fixed.get("colour")
    rgb = sample_colour(rng, colour) if colour else paper.background
    while distance(rgb, paper.background) < 90:
        name = colour or rng.choice(COLOURS)
        rgb = sample_colour(rng, name)
        if colour and distance(rgb, paper.background) < 90:
            break  # the caller asked for it; an outline will separate it from the background
        colour = colour or (name if distance(rgb, paper.background) >= 90 else None)
    assert colour is not None
    left, top, right, bottom = box
    room = min(right - left, bottom - top)
    extent = room * rng.uniform(0.35, 0.97)
    # At least about 40 or 56 frame pixels, if the box allows.
    extent = min(max(extent, (40 if is_wide(rng) else 56) / paper.scale), room * 0.97)
    width, height = choose_size(rng, kind, extent)
    if kind == "arrow" or rng.random() < 0.35:
        x, y = (left + right) / 2, (top + bottom) / 2
    else:
        x = rng.uniform(left + extent / 2, right - extent / 2)
        y = rng.uniform(top + extent / 2, bottom - extent / 2)
    faint = distance(rgb, paper.background) < 90
    outline = None
    if faint or rng.random() < 0.3:
        outline = (0, 0, 0) if sum(paper.background) > 330 else (255, 255, 255)
        if not faint and rng.random() < 0.4:
            outline = (rgb[0] * 2 // 3, rgb[1] * 2 // 3, rgb[2] * 2 // 3)
    turn = choose_turn(rng, kind)
    return Shape(
        colour, kind, rgb, x, y, width, height, turn, outline, rng.choice((1, 2, 2, 3, 4, 5))
    )


def draw_shape(
    rng: random.Random, image: Image.Image, shape: Shape, paper: Paper, name_it: bool = True
) -> list[Mark]:
    """Draw the shape and return its marks: colour and kind at points all over it."""
    ratio, hole = rng.random(), rng.uniform(0.45, 0.72)
    angle = math.radians(shape.turn)
    sine, cosine = math.sin(angle), math.cos(angle)

    def to_canvas(points: list[tuple[float, float]], factor: float) -> list[tuple[float, float]]:
        half_width, half_height = shape.width / 2 * factor, shape.height / 2 * factor
        return [
            (
                shape.x + x * half_width * cosine - y * half_height * sine,
                shape.y + x * half_width * sine + y * half_height * cosine,
            )
            for x, y in points
        ]

    points = list_points(shape.kind, ratio)
    outer = to_canvas(points, 1.0)
    draw = ImageDraw.Draw(image)
    mask = Image.new("1", image.size)
    mask_draw = ImageDraw.Draw(mask)
    mask_draw.polygon(outer, fill=1)
    draw.polygon(outer, fill=shape.rgb)
    rims = [outer]
    if shape.kind == "ring":
        inner = to_canvas(points, hole)
        draw.polygon(inner, fill=paper.background)
        mask_draw.polygon(inner, fill=0)
        rims.append(inner)
    if shape.outline:
        for rim in rims:
            draw.line([*rim, rim[0], rim[1]], fill=shape.outline, width=shape.outline_width)
    if not name_it:
        return []
    step = MARK_STEP / paper.scale
    left, top = shape.x - shape.width, shape.y - shape.height  # generous: the shape may be turned
    marks = []
    name = f"{shape.colour} {shape.kind}"
    pixels = mask.load()
    assert pixels is not None
    for row in range(int(2 * shape.height / step) + 1):
        for column in range(int(2 * shape.width / step) + 1):
            x, y = left + (column + 0.5) * step, top + (row + 0.5) * step
            if 0 <= x < image.width and 0 <= y < image.height and pixels[int(x), int(y)]:
                tokens = (shape.colour, shape.kind)
                marks += [Mark(x, y, token, name, (shape.x, shape.y)) for token in tokens]
    return marks


def choose_boxes(
    rng: random.Random, paper: Paper, count: int
) -> list[tuple[float, float, float, float]]:
    """Choose boxes that hold one shape each: the whole canvas, or two halves of it."""
    margin = 0.02 * min(paper.width, paper.height)
    right, bottom = paper.width - margin, paper.height - margin
    if count == 1:
        return [(margin, margin, right, bottom)]
    if rng.random() < (0.8 if paper.width >= paper.height else 0.35):
        cut = paper.width * rng.uniform(0.42, 0.58)
        return [(margin, margin, cut, bottom), (cut, margin, right, bottom)]
    cut = paper.height * rng.uniform(0.42, 0.58)
    return [(margin, margin, right, cut), (margin, cut, right, bottom)]


def order_shapes(shapes: list[Shape]) -> list[Shape]:
    """Sort left to right, or top to bottom if they are spread out more that way."""
    across = max(s.x for s in shapes) - min(s.x for s in shapes)
    down = max(s.y for s in shapes) - min(s.y for s in shapes)
    return sorted(shapes, key=lambda s: s.x if across >= down else s.y)


def draw_shapes(rng: random.Random, paper: Paper, shapes: list[Shape]) -> Picture:
    """Draw the shapes on a canvas of their own."""
    image = paper.blank()
    marks: list[Mark] = []
    for shape in shapes:
        marks += draw_shape(rng, image, shape, paper)
    return Picture(image, tuple(marks))


def name_shapes(shapes: list[Shape]) -> str:
    """Return "a red circle and a blue star"."""
    return " and ".join(shape.name for shape in shapes)


def capitalize(text: str) -> str:
    """Make the first letter upper case; leave the rest."""
    return text[0].upper() + text[1:]


def make_sample(rng: random.Random, held_out: bool = False, count: int | None = None) -> Sample:
    """One or two shapes: "A red circle and a blue star on a white background."."""
    paper = choose_paper(rng)
    count = count or (1 if rng.random() < 0.62 else 2)
    shapes = order_shapes([place_shape(rng, paper, box) for box in choose_boxes(rng, paper, count)])
    answer = f"{capitalize(name_shapes(shapes))} on a {paper.background_name} background."
    picture = draw_shapes(rng, paper, shapes)
    return Sample("describe", (picture,), rng.choice(QUESTIONS), fix_article(answer))


def fix_article(text: str) -> str:
    """Correct "a orange background" to "an orange background"."""
    return text.replace(" a orange ", " an orange ")
