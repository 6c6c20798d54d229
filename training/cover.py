"""Book covers: a title in large type, the author below it."""

import random

from PIL import ImageDraw

from training import text
from training.canvas import Mark, Paper, Picture, Sample, choose_paper, load_font, mark_word
from training.words import choose_word, write_name

QUESTIONS = (
    "Help me get the title and author information of this book?",
    "Help me get the title and author of this book.",
    "What is the title of this book and who wrote it?",
    "What is the title and author of this book?",
    "Who wrote this book?",
    "What book is this?",
    "Title and author?",
)


def write_title(rng: random.Random, held_out: bool) -> list[str]:
    """Choose one to four words, on as many lines or fewer."""
    case = rng.choice(("upper", "upper", "title"))
    first, *others = (
        choose_word(rng, case, held_out, hard=0.0) for _ in range(rng.choice((1, 2, 2, 3, 3, 3, 4)))
    )
    lines, broken = [first], rng.choice((0.5, 0.5, 1))
    for word in others:
        if rng.random() < broken:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines


def draw_cover(rng: random.Random, title: list[str], author: str, held_out: bool) -> Picture:
    """Draw the title's lines and the author on one canvas, usually a tall one."""
    for _ in range(20):
        paper = choose_paper(rng)
        if paper.height >= paper.width or rng.random() < 0.3:
            break
    image = paper.blank()
    draw = ImageDraw.Draw(image)
    marks: list[Mark] = []
    large = text.choose_face(rng, 26 / paper.scale, 84 / paper.scale, held_out)
    small = text.choose_face(rng, 18 / paper.scale, 46 / paper.scale, held_out)
    if rng.random() < 0.6:
        small = text.Face(large.font, small.size, small.case)
    large = text.fit_size(title, large, Paper(paper.width, paper.height // 2, *PLAIN))
    small = text.fit_size([author], small, paper)
    line = text.measure_line(large.font, large.size)
    y, spacing = rng.uniform(0.04, 0.28) * paper.height, rng.uniform(1.0, 1.25)
    for words in title:
        width = text.measure_word(large.font, large.size, words)
        x = round((paper.width - width) / 2)
        font = load_font(large.font, large.size)
        draw.text((x, round(y)), words, font=font, fill=paper.ink)
        marks += mark_word(large.font, large.size, words, x, round(y))
        y += line * spacing
    space = paper.height - text.measure_line(small.font, small.size) * 1.2
    y = round(rng.uniform(min(y, space), space))
    x = round((paper.width - text.measure_word(small.font, small.size, author)) / 2)
    draw.text((x, y), author, font=load_font(small.font, small.size), fill=paper.ink)
    marks += mark_word(small.font, small.size, author, x, y)
    if rng.random() < 0.4:
        edge = rng.randint(2, 8)
        draw.rectangle((0, 0, paper.width - 1, paper.height - 1), outline=paper.ink, width=edge)
    return Picture(image, tuple(marks))


PLAIN = ((255, 255, 255), "white", (0, 0, 0))


def make_sample(rng: random.Random, held_out: bool = False) -> Sample:
    """`The title of the book is "ALONE" and the author is Morgan Maxwell.`, or the text."""
    title = write_title(rng, held_out)
    author = write_name(rng, held_out)
    printed = author.upper() if rng.random() < 0.15 else author
    picture = draw_cover(rng, title, printed, held_out)
    if rng.random() < 0.3:
        answer = "\n".join([*title, printed])
        return Sample("ocr", (picture,), rng.choice(text.QUESTIONS), answer)
    answer = f'The title of the book is "{" ".join(title)}" and the author is {printed}.'
    return Sample("cover", (picture,), rng.choice(QUESTIONS), answer)
