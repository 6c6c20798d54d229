"""Image comparison by pixels: verdicts, boxes, alignment."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from phi3v.comparison.canvas import choose_canvas, is_same_ratio
from phi3v.comparison.difference import compare_pictures, draw_map, draw_regions
from phi3v.documents.images import open_image
from phi3v.tasks import EXAMPLES


def draw_page(lines: int = 14, seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    rng = random.Random(seed)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for line in range(lines):
        words = ("".join(rng.choice("abcdefghiklmnorstu") for _ in range(6)) for _ in range(7))
        draw.text((30, 20 + 30 * line), " ".join(words), "black", ImageFont.load_default(20))
    return page


def draw_shapes(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    rng = random.Random(seed)
    image = Image.new("RGB", size, (235, 230, 210))
    draw = ImageDraw.Draw(image)
    colours = ["red", "green", "blue", "orange", "black", "purple"]
    for _ in range(9):
        x, y, r = rng.randrange(40, 560), rng.randrange(40, 400), rng.randrange(25, 60)
        draw_shape = rng.choice([draw.ellipse, draw.rectangle])
        draw_shape((x, y, x + r, y + r), rng.choice(colours), "black")
    return image


def draw_scene(seed: int = 0) -> Image.Image:
    """Return smooth random colours, like a photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    return Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)


def encode(image: Image.Image, quality: int = 60) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


KINDS = {"page": draw_page, "shapes": draw_shapes, "scene": draw_scene}
kinds = pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)


def is_covered(box, regions, slack=4) -> bool:
    """True if the regions together cover a box, up to `slack` pixels at its edges."""
    area = np.zeros((2000, 2000), bool)
    for region in regions:
        left, top, right, bottom = region.box
        area[max(0, top - slack) : bottom + slack, max(0, left - slack) : right + slack] = True
    left, top, right, bottom = box
    return bool(area[top:bottom, left:right].all())


@kinds
def test_the_same_pixels_are_identical(draw):
    difference = compare_pictures(draw(), draw())
    assert (difference.verdict, difference.similarity, difference.regions) == ("identical", 1.0, ())


def test_a_change_of_colour_alone_lowers_the_similarity():
    def draw(colour):
        image = Image.new("RGB", (300, 300), "white")
        ImageDraw.Draw(image).ellipse((60, 60, 240, 240), fill=colour)
        return image

    difference = compare_pictures(draw((214, 39, 40)), draw((44, 80, 230)))  # equally bright
    assert difference.verdict == "nearly the same"
    assert difference.similarity < 0.9


def test_one_changed_pixel_is_not_identical():
    changed = draw_scene()
    changed.putpixel((3, 3), (0, 0, 0))
    assert compare_pictures(draw_scene(), changed).verdict != "identical"


@kinds
@pytest.mark.parametrize("quality", [60, 90])
def test_another_compression_is_re_encoded(draw, quality):
    assert compare_pictures(draw(), encode(draw(), quality)).verdict == "re-encoded"


@kinds
@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_another_size_is_re_encoded(draw, scale):
    image = draw()
    other = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
    difference = compare_pictures(image, other)
    assert difference.verdict == "re-encoded"
    assert difference.first.size == difference.second.size == image.size


@kinds
@pytest.mark.parametrize("shift", [(7, 0), (-12, 9)])
def test_a_shifted_image_is_aligned_without_regions(draw, shift):
    large = draw().resize((700, 540), Image.Resampling.LANCZOS)
    first = large.crop((30, 30, 670, 510))
    second = large.crop((30 + shift[0], 30 + shift[1], 670 + shift[0], 510 + shift[1]))
    difference = compare_pictures(first, second)
    assert (difference.verdict, difference.moved) == ("nearly the same", True)
    assert difference.regions == ()


def test_a_rotated_scan_is_aligned():
    page = draw_page(size=(660, 500))
    turned = page.rotate(2, Image.Resampling.BICUBIC, fillcolor="white")
    difference = compare_pictures(page, turned)
    assert (difference.verdict, difference.moved) == ("nearly the same", True)


@kinds
@pytest.mark.parametrize("box", [(300, 200, 360, 260), (40, 30, 70, 50), (500, 380, 620, 460)])
def test_one_changed_object_is_boxed(draw, box):
    changed = draw()
    ImageDraw.Draw(changed).rectangle(box, fill=(255, 0, 160))
    difference = compare_pictures(draw(), encode(changed, 85))
    assert difference.verdict == "nearly the same"
    assert is_covered(box, difference.regions)
    others = [region for region in difference.regions if not touches(region.box, box)]
    assert others == []


def touches(first, second, slack=12) -> bool:
    return (
        first[0] <= second[2] + slack
        and second[0] <= first[2] + slack
        and first[1] <= second[3] + slack
        and second[1] <= first[3] + slack
    )


def test_two_changes_are_numbered_in_reading_order():
    changed = draw_shapes()
    draw = ImageDraw.Draw(changed)
    draw.rectangle((550, 20, 590, 60), fill="white")
    draw.rectangle((20, 420, 60, 460), fill="black")
    regions = compare_pictures(draw_shapes(), changed).regions
    assert [region.number for region in regions] == [1, 2]
    assert regions[0].box[1] < regions[1].box[1]


def test_a_changed_letter_is_found():
    pages = []
    for word in ("Total 1,250.00", "Total 1,260.00"):
        page = draw_page(8)
        ImageDraw.Draw(page).text((30, 400), word, "black", ImageFont.load_default(20))
        pages.append(encode(page, 80))
    difference = compare_pictures(*pages)
    assert difference.verdict == "nearly the same"
    assert len(difference.regions) == 1
    left, top, right, bottom = difference.regions[0].box
    assert right - left < 40
    assert 390 < top < bottom < 440


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (draw_page, draw_shapes),
        (draw_page, draw_scene),
        (draw_shapes, draw_scene),
        (draw_page, lambda: draw_page(seed=7)),
        (draw_shapes, lambda: draw_shapes(seed=7)),
        (draw_scene, lambda: draw_scene(seed=7)),
        (draw_shapes, lambda: draw_scene().resize((300, 700))),
        (lambda: Image.new("RGB", (50, 50), "red"), lambda: Image.new("RGB", (50, 50), "blue")),
    ],
)
def test_unrelated_images_are_different(first, second):
    difference = compare_pictures(first(), second())
    assert (difference.verdict, difference.regions) == ("different", ())
    assert difference.first.size == difference.second.size == difference.heat.size


@pytest.mark.parametrize("pair", [("shop-open", "shop-closed"), ("circle", "circle-blue")])
def test_the_examples_are_nearly_the_same(pair):
    images = [open_image(EXAMPLES / f"{name}.png") for name in pair]
    difference = compare_pictures(*images)
    assert difference.verdict == "nearly the same"
    assert difference.regions


@pytest.mark.parametrize("sizes", [((1, 1), (3, 2)), ((2000, 3), (2000, 3)), ((5, 400), (80, 9))])
def test_extreme_sizes_are_compared(sizes):
    images = [
        Image.new("RGB", size, colour) for size, colour in zip(sizes, ("red", "white"), strict=True)
    ]
    assert compare_pictures(*images).verdict == "different"


def test_the_canvas_of_large_images_is_limited():
    assert choose_canvas(Image.new("RGB", (8000, 4000))) == (1024, 512)


def test_rounding_to_whole_pixels_keeps_the_aspect_ratio():
    assert is_same_ratio((640, 480), (333, 250))
    assert not is_same_ratio((640, 480), (480, 640))


def test_regions_are_drawn_on_a_copy():
    changed = draw_shapes()
    ImageDraw.Draw(changed).rectangle((0, 0, 50, 50), fill="white")
    difference = compare_pictures(draw_shapes(), changed)
    before = difference.first.tobytes()
    drawn = draw_regions(difference.first, difference.regions)
    assert difference.first.tobytes() == before != drawn.tobytes()


def test_a_blurred_copy_is_re_encoded():
    difference = compare_pictures(draw_scene(), draw_scene().filter(ImageFilter.GaussianBlur(1)))
    assert difference.verdict == "re-encoded"


CASES = Path(__file__).parents[1] / "data" / "comparison"


def brighten(image: Image.Image, by: int) -> Image.Image:
    return Image.eval(image, lambda value: max(0, min(255, value + by)))


def add_noise(image: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def crop(image: Image.Image) -> Image.Image:
    return image.crop((100, 60, 100 + image.width // 2, 60 + image.height // 2))


Transpose = Image.Transpose
COPIES = {
    "a quarter turn": ("turned", lambda image: image.transpose(Transpose.ROTATE_90)),
    "a half turn": ("turned", lambda image: image.transpose(Transpose.ROTATE_180)),
    "a mirror": ("mirrored", lambda image: image.transpose(Transpose.FLIP_LEFT_RIGHT)),
    "a mirror, turned": ("mirrored", lambda image: image.transpose(Transpose.TRANSPOSE)),
    "brighter": ("brightness", lambda image: brighten(image, 50)),
    "darker": ("brightness", lambda image: brighten(image, -50)),
    "noise": ("noisy", lambda image: add_noise(image, 12)),
    "another size": ("re-encoded", lambda image: image.resize((500, 375))),
    "another size, stretched": ("re-encoded", lambda image: image.resize((640, 600))),
    "another compression": ("re-encoded", lambda image: encode(image, 60)),
    "a crop": ("cropped", crop),
    "turned, smaller and compressed": (
        "turned",
        lambda image: encode(image.transpose(Transpose.ROTATE_270).resize((360, 480)), 80),
    ),
}


SOME = ["a half turn", "darker", "noise", "a crop"]


@pytest.mark.parametrize(
    ("draw", "copy"),
    [(draw_shapes, copy) for copy in COPIES]
    + [(draw, copy) for draw in (draw_page, draw_scene) for copy in SOME],
)
def test_a_copy_gets_its_verdict_in_either_order_and_no_regions(draw, copy):
    verdict, change = COPIES[copy]
    image, other = draw(), change(draw())
    for pair in ((image, other), (other, image)):
        difference = compare_pictures(*pair)
        assert (difference.verdict, difference.regions) == (verdict, ())
        assert difference.first.size == difference.second.size == difference.heat.size
        assert difference.first.size == choose_canvas(pair[0])


@pytest.mark.parametrize(
    "copy", ["a quarter turn", "a mirror, turned", "brighter", "a crop", "noise"]
)
def test_a_change_in_a_copy_is_boxed_in_the_frame_of_the_first(copy):
    changed = draw_shapes()
    box = (180, 130, 230, 170)
    ImageDraw.Draw(changed).rectangle(box, fill=(255, 0, 160))
    other = COPIES[copy][1](changed)
    difference = compare_pictures(draw_shapes(), other)
    assert difference.verdict == "nearly the same"
    assert is_covered(box, difference.regions)
    assert len(difference.regions) == 1
    turned = compare_pictures(other, draw_shapes())
    assert turned.verdict == "nearly the same"
    assert len(turned.regions) == 1
    left, top, right, bottom = turned.regions[0].box
    assert np.asarray(other.convert("RGB"))[(top + bottom) // 2, (left + right) // 2, 0] > 225


def test_brighter_and_darker_are_told_apart():
    image, brighter = draw_scene(), brighten(draw_scene(), 40)
    assert compare_pictures(image, brighter).brightening > 0.1
    assert compare_pictures(brighter, image).brightening < -0.1


@pytest.mark.parametrize(
    ("turn", "operation"),
    [("quarter left", Transpose.ROTATE_90), ("quarter right", Transpose.ROTATE_270)],
)
def test_a_turn_has_its_direction(turn, operation):
    turned = draw_page().transpose(operation)
    assert compare_pictures(draw_page(), turned).turn == turn
    assert compare_pictures(turned, draw_page()).turn != turn


@pytest.mark.parametrize(
    "sizes",
    [
        ((1, 1), (1, 10_000)),
        ((10_000, 1), (1, 10_000)),
        ((1, 1), (1, 1)),
        ((16, 16), (400, 7)),
        ((3, 90), (90, 3)),
        ((17, 1), (64, 48)),
        ((1, 10_000), (1, 9_999)),
    ],
)
@pytest.mark.parametrize("content", ["plain", "noise"])
def test_no_two_sizes_crash_and_the_order_does_not_matter(sizes, content):
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        if content == "noise"
        else Image.new("RGB", (width, height), colour)
        for (width, height), colour in zip(sizes, ("navy", "white"), strict=True)
    ]
    difference, reverse = compare_pictures(*images), compare_pictures(*images[::-1])
    assert difference.verdict == reverse.verdict
    assert draw_map(difference).size == difference.first.size == difference.second.size


def test_padding_is_never_content():
    first, second = (open_image(CASES / f"crop-other-shape-{n}.png") for n in (1, 2))
    difference = compare_pictures(first, second)
    assert (difference.regions, difference.moved, difference.cropped) == ((), True, True)


def test_strips_of_other_directions_are_compared():
    first, second = (open_image(CASES / f"strip-{name}.png") for name in ("tall", "wide"))
    assert compare_pictures(first, second).verdict == compare_pictures(second, first).verdict


@pytest.mark.parametrize(
    ("name", "count"), [("blank-stamp", 1), ("invoice-digit", 1), ("faint-watermark", 2)]
)
def test_a_small_change_of_a_page_is_boxed(name, count):
    pair = [open_image(CASES / f"{name}-{number}.png") for number in (1, 2)]
    for images in (pair, pair[::-1]):
        difference = compare_pictures(*images)
        assert (difference.verdict, len(difference.regions)) == ("nearly the same", count)


def test_a_stamp_on_a_compressed_empty_sheet_is_one_region():
    stamped = Image.new("RGB", (640, 480), "white")
    ImageDraw.Draw(stamped).ellipse((400, 300, 520, 420), outline="blue", width=6)
    for images in ((Image.new("RGB", (640, 480), "white"), encode(stamped)),):
        for pair in (images, images[::-1]):
            difference = compare_pictures(*pair)
            assert (difference.verdict, len(difference.regions)) == ("nearly the same", 1)


@pytest.mark.parametrize(
    ("draw", "size", "line"),
    [
        (draw_page, (640, 480), (300, 0, 300, 1)),
        (draw_shapes, (640, 480), (0, 0.4, 1, 0.4)),
        (draw_scene, (2400, 1800), (0, 0.4, 1, 0.4)),
    ],
)
def test_a_line_of_one_pixel_is_found(draw, size, line):
    image = draw().resize(size)
    changed = image.copy()
    at = [
        value * size[i % 2] if isinstance(value, float) else value for i, value in enumerate(line)
    ]
    ImageDraw.Draw(changed).line(at if at[0] != at[2] else (300, 0, 300, size[1]), "red")
    difference = compare_pictures(image, changed)
    assert difference.verdict == "nearly the same"
    assert difference.regions
