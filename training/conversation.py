"""Follow-up questions: "it", "the other one", "image 2", "how many", "which is larger", "where".

An answer names in full what its question only points to ("The red circle is at the top left."), so
that a later question can point to it, too.
"""

import random

from training import text
from training.canvas import Picture, Sample, choose_paper
from training.chart import draw_chart
from training.cover import draw_cover, write_title
from training.describe import draw_sign
from training.objects import (
    COUNTING,
    DETAILED,
    NUMBERS,
    Drawing,
    count_things,
    describe,
    draw_objects,
    summarize,
    tell_place,
)
from training.series import choose_series
from training.shapes import QUESTIONS, choose_boxes, draw_shapes, fix_article, place_shape
from training.words import join, write_name

CANNOT = "I can't tell. I can read text, and name, place and count shapes."
UNKNOWABLE = (
    *("How old is it?", "Who made it?", "Who wrote it?", "Where was it taken?", "What is it for?"),
    *("Why is it there?", "How heavy is it?", "Who drew it?"),
    *("When was it made?", "What does it mean?", "Is it real?", "Do you like it?"),
)
IN_ALL = (
    *("And how many shapes are there in all?", "How many are there altogether?", "How many?"),
    *(
        "How many are there in total?",
        "And how many objects are there?",
        "How many shapes is that?",
    ),
    *COUNTING,
)
WHERE = ("Where is it?", "And where is it?", "Where?", "Where is that?", "Where exactly is it?")
COLOUR = ("What colour is it?", "And its colour?", "Which colour does it have?")
KIND = ("What is it?", "What shape is it?", "Which shape is that?")
OTHER = ("And the other one?", "What is the other one?", "What about the other one?")
LARGER = 1.35  # least ratio of two extents that questions compare
Turn = tuple[str, str]  # question and answer


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """A conversation of two to four questions about the same pictures."""
    makers = (talk_about_shapes, talk_about_a_sign, talk_about_a_chart, talk_about_a_book)
    talk = rng.choices(makers, weights=(6, 2, 1, 1))[0]
    pictures, turns = talk(rng, held_out)
    if rng.random() < 0.15 and talk is not talk_about_a_book:  # who wrote a book can be told
        turns.insert(rng.randint(1, len(turns)), (rng.choice(UNKNOWABLE), CANNOT))
    return make_turns(pictures, turns)


def make_pair(rng: random.Random, held_out: bool = False) -> Sample:
    """A conversation about two pictures, which questions call "image 2" or "the other one"."""
    return make_turns(*talk_about_two(rng, held_out))


def make_turns(pictures: tuple[Picture, ...], turns: list[Turn]) -> Sample:
    """Return a sample of these questions and answers."""
    (question, answer), *more = turns[:4]
    return Sample("conversation", pictures, question, answer, tuple(more))


def talk_about_shapes(rng: random.Random, held_out: bool) -> tuple[tuple[Picture, ...], list[Turn]]:
    """Ask about one shape, and then about what "it" refers to, the others, and all of them."""
    drawing = draw_objects(rng)
    turns, index = open_with(rng, drawing)
    count = rng.randint(2, 4)
    while len(turns) < count:
        turn, index = follow(rng, drawing, index)
        if turn not in turns:
            turns.append(turn)
    return (drawing.picture,), turns


def open_with(rng: random.Random, drawing: Drawing) -> tuple[list[Turn], int | None]:
    """Return a first question, and the index of the shape that "it" then is, if it is one."""
    lone = [index for index in range(len(drawing.shapes)) if is_only_kind(drawing, index)]
    roll = rng.random()
    if roll < 0.55 and lone:
        index = rng.choice(lone)
        return [ask_colour(rng, drawing, index)], index
    if roll < 0.8:
        compared = compare_sizes(rng, drawing)
        if compared:
            return [compared[0]], compared[1]
    single = 0 if len(drawing.shapes) == 1 else None
    if rng.random() < 0.5:
        return [(rng.choice(QUESTIONS), summarize(drawing))], single
    return [(rng.choice(DETAILED), describe(drawing))], single


def follow(rng: random.Random, drawing: Drawing, index: int | None) -> tuple[Turn, int | None]:
    """Return a follow-up question and its answer, and what "it" is after it."""
    count = len(drawing.shapes)
    options = ["count"]
    if index is not None:
        options += ["where", "where", "where", "colour", "kind"]
        options += ["other", "other"] if count == 2 else []
    else:
        options += ["one"] if any(is_only_kind(drawing, i) for i in range(count)) else []
        options += ["sizes"] if count > 1 else []
    choice = rng.choice(options)
    if choice == "sizes" and (compared := compare_sizes(rng, drawing)):
        return compared
    if choice == "one":
        one = rng.choice([i for i in range(count) if is_only_kind(drawing, i)])
        if rng.random() < 0.5:
            kind = drawing.shapes[one].kind
            return (f"Where is the {kind}?", tell_where(drawing, one)), one
        return ask_colour(rng, drawing, one), one
    if index is not None and choice == "where":
        return (rng.choice(WHERE), tell_where(drawing, index)), index
    if index is not None and choice in ("colour", "kind"):
        asked = COLOUR if choice == "colour" else KIND
        return (rng.choice(asked), f"It is {drawing.shapes[index].name}."), index
    if index is not None and choice == "other":
        other = 1 - index
        if rng.random() < 0.5:
            return (rng.choice(OTHER), f"The other one is {drawing.shapes[other].name}."), other
        if rng.random() < 0.5:
            question = rng.choice(("Where is the other one?", "And where is the other one?"))
            return (question, tell_where(drawing, other)), other
        shape = drawing.shapes[other]
        question = rng.choice(("What colour is the other one?", "And the other one's colour?"))
        return (question, f"The {shape.kind} is {shape.colour}."), other
    names = [shape.name for shape in drawing.shapes]
    return (rng.choice(IN_ALL), count_things(names, drawing.places, "shape")), index


def is_only_kind(drawing: Drawing, index: int) -> bool:
    """True if no other shape is of the same kind."""
    return sum(shape.kind == drawing.shapes[index].kind for shape in drawing.shapes) == 1


def ask_colour(rng: random.Random, drawing: Drawing, index: int) -> Turn:
    """Ask for the colour of a shape that is the only one of its kind."""
    shape = drawing.shapes[index]
    question = rng.choice(("What colour is the {}?", "Which colour does the {} have?"))
    return question.format(shape.kind), f"The {shape.kind} is {shape.colour}."


def tell_where(drawing: Drawing, index: int) -> str:
    """Return "The red circle is at the top left."."""
    shape, place = drawing.shapes[index], drawing.places[index]
    return f"The {shape.colour} {shape.kind} is {tell_place(place)}."


def compare_sizes(rng: random.Random, drawing: Drawing) -> tuple[Turn, int] | None:
    """Ask which shape is the larger or largest; None if the sizes are too close."""
    sizes = [max(shape.width, shape.height) for shape in drawing.shapes]
    if len(sizes) < 2:
        return None
    is_large = rng.random() < 0.65
    ordered = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=is_large)
    first, second = (sizes[index] for index in ordered[:2])
    if max(first / second, second / first) < LARGER:
        return None
    of_two = ("larger", "bigger") if is_large else ("smaller",)
    of_many = ("largest", "biggest") if is_large else ("smallest",)
    word = rng.choice(of_two if len(sizes) == 2 else of_many)
    question = rng.choice(("Which is {}?", "Which shape is {}?", "Which one is {}?"))
    asked = word if len(sizes) == 2 else f"the {word}"
    shape = drawing.shapes[ordered[0]]
    answer = f"The {shape.colour} {shape.kind} is the {word}."
    return (question.format(asked), answer), ordered[0]


def talk_about_a_sign(rng: random.Random, held_out: bool) -> tuple[tuple[Picture, ...], list[Turn]]:
    """Read a sign, and then ask for the number of its words, or its background."""
    paper, lines, picture = draw_sign(rng, held_out)
    words = " ".join(lines).split()
    sign = fix_article(f'The text "{" ".join(lines)}" on a {paper.background_name} background.')
    noun = "word" if len(words) == 1 else "words"
    counted = f"{join(words)}: {NUMBERS[len(words)]} {noun}."
    read = (rng.choice(text.QUESTIONS), "\n".join(lines))
    more = [
        (rng.choice(("How many words are there?", "And how many words is that?")), counted),
        (rng.choice(QUESTIONS), sign),
        (
            rng.choice(("What colour is the background?", "And the background?")),
            f"The background is {paper.background_name}.",
        ),
        (rng.choice(("Read it again.", "What does it say again?")), "\n".join(lines)),
    ]
    rng.shuffle(more)
    return (picture,), [read, *more[: rng.randint(1, 3)]]


def talk_about_a_chart(
    rng: random.Random, held_out: bool
) -> tuple[tuple[Picture, ...], list[Turn]]:
    """Ask for the highest bar, then "and the lowest", then for its value."""
    series = choose_series(rng, held_out)
    picture, _ = draw_chart(rng, series, held_out)
    highest = f"The highest is {series.tell(series.highest)}."
    lowest = f"The lowest is {series.tell(series.lowest)}."
    turns = [
        (rng.choice(("Which is the highest?", "Which bar is the highest?")), highest),
        (rng.choice(("And the lowest?", "What about the lowest?")), lowest),
    ]
    if rng.random() < 0.5:
        turns = [
            (rng.choice(("Which is the lowest?", "Which bar is the lowest?")), lowest),
            (rng.choice(("And the highest?", "What about the highest?")), highest),
        ]
    if rng.random() < 0.5:
        titles = ("What is the title?", "And the title of the chart?")
        turns.append((rng.choice(titles), f'The title is "{series.title}".'))
    return (picture,), turns


def talk_about_a_book(rng: random.Random, held_out: bool) -> tuple[tuple[Picture, ...], list[Turn]]:
    """Ask for a book's title, then who wrote "it"."""
    title, author = write_title(rng, held_out), write_name(rng, held_out)
    picture = draw_cover(rng, title, author, held_out)
    named = f'The title is "{" ".join(title)}".'
    written = f"The author is {author}."
    turns = [
        (rng.choice(("What is the title?", "What is this book called?")), named),
        (rng.choice(("Who wrote it?", "And who wrote it?", "Who is the author?")), written),
    ]
    return (picture,), turns if rng.random() < 0.7 else turns[::-1]


def talk_about_two(rng: random.Random, held_out: bool) -> tuple[tuple[Picture, ...], list[Turn]]:
    """Ask about one of two pictures, and then about the other one."""
    shown: list[tuple[Picture, str, str | None]] = []
    for _ in range(2):
        if rng.random() < 0.3:
            _, lines, picture = draw_sign(rng, held_out)
            shown.append((picture, f'the text "{" ".join(lines)}"', None))
            continue
        paper = choose_paper(rng)
        shape = place_shape(rng, paper, choose_boxes(rng, paper, 1)[0])
        shown.append((draw_shapes(rng, paper, [shape]), shape.name, shape.colour))
    first = rng.randrange(2)
    turns = [ask_what(rng, first, shown[first][1])]
    turns.append((rng.choice(OTHER), f"Image {2 - first} shows {shown[1 - first][1]}."))
    both = f"The first picture shows {shown[0][1]}, the second {shown[1][1]}"
    same = ": the two pictures are identical" if shown[0][1] == shown[1][1] else ""
    rest = [
        (rng.choice(("Are they the same?", "Are the two pictures the same?")), f"{both}{same}."),
        (rng.choice(("What do they show?", "Describe both pictures.")), f"{both}."),
    ]
    colours = [colour for *_, colour in shown]
    asked = rng.randrange(2)
    if colours[asked]:
        question = f"What colour is the shape in image {asked + 1}?"
        rest.append((question, f"Image {asked + 1} shows {shown[asked][1]}."))
    rng.shuffle(rest)
    return tuple(picture for picture, *_ in shown), [*turns, *rest[: rng.randint(0, 2)]]


def ask_what(rng: random.Random, index: int, shown: str) -> Turn:
    """Ask what one of two pictures shows."""
    ordinal = ("first", "second")[index]
    questions = (
        f"What does image {index + 1} show?",
        f"What is in picture {index + 1}?",
        f"Describe image {index + 1}.",
        f"What does the {ordinal} picture show?",
    )
    return rng.choice(questions), f"Image {index + 1} shows {shown}."
