"""Named colours in many shades, and plain backgrounds with the name an answer gives them."""

import colorsys
import random

Rgb = tuple[int, int, int]

# Shades that are common elsewhere: CSS colours and the usual chart palettes.
EXACT: dict[str, tuple[Rgb, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60), (200, 30, 30), (214, 39, 40), (220, 40, 40), (139, 0, 0)),
    "green": ((0, 128, 0), (0, 255, 0), (34, 139, 34), (44, 160, 44), (50, 205, 50), (40, 160, 60)),
    "blue": ((0, 0, 255), (0, 0, 139), (65, 105, 225), (31, 119, 180), (30, 144, 255), (0, 0, 128)),
    "yellow": ((255, 255, 0), (255, 215, 0), (240, 220, 40), (250, 210, 0), (255, 225, 25)),
    "orange": ((255, 165, 0), (255, 140, 0), (255, 127, 14), (245, 130, 48), (240, 140, 20)),
    "purple": ((128, 0, 128), (148, 103, 189), (138, 43, 226), (75, 0, 130), (145, 30, 180)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 20, 147), (227, 119, 194), (250, 150, 190)),
    "brown": ((139, 69, 19), (165, 42, 42), (160, 82, 45), (140, 86, 75), (120, 70, 30)),
    "black": ((0, 0, 0), (20, 20, 20), (30, 30, 30)),
    "white": ((255, 255, 255), (250, 250, 250)),
    "gray": ((128, 128, 128), (169, 169, 169), (127, 127, 127), (105, 105, 105), (150, 150, 150)),
    "cyan": ((0, 255, 255), (0, 206, 209), (23, 190, 207), (70, 240, 240), (0, 200, 220)),
}
COLOURS = tuple(EXACT)

# Hue in degrees, saturation and value in percent: (low, high) of each.
RANGES: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "red": ((-8, 7), (78, 100), (65, 100)),
    "green": ((95, 150), (50, 100), (38, 95)),
    "blue": ((206, 244), (60, 100), (45, 100)),
    "yellow": ((48, 62), (70, 100), (88, 100)),
    "orange": ((23, 39), (80, 100), (88, 100)),
    "purple": ((267, 299), (45, 100), (40, 80)),
    "pink": ((322, 346), (28, 65), (93, 100)),
    "brown": ((17, 32), (50, 88), (33, 62)),
    "black": ((0, 360), (0, 10), (0, 13)),
    "white": ((0, 360), (0, 2), (96, 100)),
    "gray": ((0, 360), (0, 6), (38, 70)),
    "cyan": ((175, 190), (65, 100), (75, 100)),
}


def sample_colour(rng: random.Random, name: str) -> Rgb:
    """Return a random shade of a named colour."""
    if rng.random() < 0.5:
        return rng.choice(EXACT[name])
    hue, saturation, value = (rng.uniform(*limits) for limits in RANGES[name])
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, saturation / 100, value / 100)
    return round(red * 255), round(green * 255), round(blue * 255)


def luminance(colour: Rgb) -> float:
    """Perceived brightness, 0 to 255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def distance(one: Rgb, other: Rgb) -> float:
    """Euclidean distance of two colours in RGB."""
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5


def sample_background(rng: random.Random) -> tuple[Rgb, str]:
    """Choose a plain background and its name: white, black, gray, light, dark, or a colour."""
    roll = rng.random()
    if roll < 0.45:
        return rng.choice(((255, 255, 255), (255, 255, 255), (250, 250, 250))), "white"
    if roll < 0.62:
        low = rng.randint(200, 235)
        tint = [rng.randint(low, 255) for _ in range(3)]
        tint[rng.randrange(3)] = low - 5  # never so pale that it counts as white
        return (tint[0], tint[1], tint[2]), "light"
    if roll < 0.72:
        return rng.choice(((0, 0, 0), (0, 0, 0), (16, 16, 16))), "black"
    if roll < 0.85:
        tint = [rng.randint(0, 70) for _ in range(3)]
        tint[rng.randrange(3)] = rng.randint(38, 80)
        return (tint[0], tint[1], tint[2]), "dark"
    name = rng.choice(
        ("gray", "blue", "green", "red", "yellow", "cyan", "orange", "purple", "pink")
    )
    return sample_colour(rng, name), name


def sample_ink(rng: random.Random, background: Rgb) -> Rgb:
    """Choose a text colour that contrasts with the background."""
    level = luminance(background)
    plain = (0, 0, 0) if level > 110 else (255, 255, 255)
    if rng.random() < 0.5:
        return plain
    for _ in range(6):
        if rng.random() < 0.5:
            ink = sample_colour(rng, rng.choice(COLOURS))
        else:
            ink = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if abs(luminance(ink) - level) > 85:
            return ink
    return plain
