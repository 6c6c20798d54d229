"""English texts of the comparison, and the description of a Difference. Translated when shown."""

from phi3v.comparison.difference import Difference, Region
from phi3v.translatable import Text, join_texts

FIRST = "Left picture"
SECOND = "Right picture"
EMPTY = "With two pictures or more, what differs is measured and shown here."
SAME_TWICE = "The same picture is chosen twice: choose two different ones."
NOT_COMPARED = "The pictures were not compared. {reason}"
SLIDER = "Slider over two pictures"
CHANGES = "What changed"

VERDICTS = {
    "identical": "**Identical**: {first} and {second} are the same in every pixel.",
    "re-encoded": "**The same picture, saved anew**: between {first} and {second} only traces of "
    "another size or compression differ.",
    "nearly the same": "**Nearly the same**: {first} and {second} differ in {count}.",
    "noisy": "**The same picture with grain**: between {first} and {second} only noise differs.",
    "brightness": "**The same picture, brighter or darker**: {first} and {second} differ "
    "in brightness only.",
    "turned": "**The same picture, turned**: {first} and {second} differ in their direction only.",
    "mirrored": "**The same picture, mirrored**: {first} and {second} show the same, the other "
    "way round.",
    "cropped": "**A part of the other**: one of {first} and {second} is a part of the other, and "
    "nothing else differs.",
    "different": "**Different pictures**: {first} and {second} have too little in common to mark "
    "single changes.",
}
TURNS = {
    "quarter left": "{second} was turned a quarter to the left.",
    "quarter right": "{second} was turned a quarter to the right.",
    "half": "{second} was turned upside down.",
    "mirrored": "{second} was mirrored left to right.",
    "flipped": "{second} was mirrored top to bottom.",
    "transposed": "{second} was mirrored and turned a quarter.",
    "transversed": "{second} was mirrored and turned a quarter the other way.",
}
BRIGHTER = "{second} is brighter."
DARKER = "{second} is darker."
GRAIN = "There is grain between them."
ONLY_MOVED = "**Nearly the same**: {first} and {second} differ in their position only."
ONE_PLACE = "one place, boxed on the map"
PLACES = "{count} places, boxed and numbered on the map"
MOVED = "{second} was moved, turned or scaled to lie on {first}."
WHERE = "Where: {places}."
SIMILARITY = "Structural similarity: {similarity:.2f} (1 is equal)."
PLACE_NAMES = (
    ("top left", "top", "top right"),
    ("left", "centre", "right"),
    ("bottom left", "bottom", "bottom right"),
)
MAX_PLACES_NAMED = 8
FURTHER_PLACES = "and {count} more"


def slider_label(first: str, second: str) -> Text:
    """Return the slider's label with the names of both images."""
    return Text("{first} | {second}", first=first, second=second)


def changes_label(first: str, second: str) -> Text:
    """Return the label of the map of changes with the names of both images."""
    return Text("What changed: {first} → {second}", first=first, second=second)


def describe_difference(difference: Difference, first: str, second: str) -> Text:
    """Return a sentence on how two images differ, where, and their structural similarity."""
    regions = difference.regions
    count = Text(ONE_PLACE) if len(regions) == 1 else Text(PLACES, count=len(regions))
    sentence = VERDICTS[difference.verdict]
    if difference.verdict == "nearly the same" and not regions:
        sentence = ONLY_MOVED
    parts = [Text(sentence, first=first, second=second, count=count)]
    if difference.turn in TURNS:
        parts.append(Text(TURNS[difference.turn], second=second))
    if difference.moved and regions:
        parts.append(Text(MOVED, first=first, second=second))
    if difference.brightening:
        parts.append(Text(BRIGHTER if difference.brightening > 0 else DARKER, second=second))
    if difference.noise and difference.verdict != "noisy":
        parts.append(Text(GRAIN))
    if regions:
        width, height = difference.first.size
        named = [name_place(region, width, height) for region in regions[:MAX_PLACES_NAMED]]
        if len(regions) > len(named):
            named.append(Text(FURTHER_PLACES, count=len(regions) - len(named)))
        parts.append(Text(WHERE, places=join_texts(named, ", ")))
    if difference.verdict != "identical":
        parts.append(Text(SIMILARITY, similarity=difference.similarity))
    return join_texts(parts, " ")


def name_place(region: Region, width: int, height: int) -> Text:
    """Return a region's number and its position in a 3 x 3 grid over the image."""
    left, top, right, bottom = region.box
    column, row = (left + right) * 3 // (2 * width), (top + bottom) * 3 // (2 * height)
    place = Text(PLACE_NAMES[min(row, 2)][min(column, 2)])
    return Text("{number} {place}", number=region.number, place=place)
