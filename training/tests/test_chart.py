"""Questions about charts that training draws, and their answers."""

import random
from dataclasses import replace

from training import chart
from training.series import Series


def test_values_that_a_chart_does_not_print_are_not_in_answers():
    rng = random.Random(4)
    series = Series("Sales", ("Jan", "Feb", "Mar"), (701, 802, 903), "", False)
    answers = " ".join(chart.ask(rng, series, ())[1] for _ in range(60))
    assert "The highest is Mar. " in answers
    assert not any(str(value) in answers for value in series.values)
    scaled = replace(series, step=200)
    answers = " ".join(chart.ask(rng, scaled, ())[1] for _ in range(60))
    assert "The value of Feb is about 800." in answers
    assert not any(str(value) in answers for value in series.values)
    printed = replace(series, is_printed=True)
    answers = " ".join(chart.ask(rng, printed, ())[1] for _ in range(60))
    assert "Jan: 701, Feb: 802, Mar: 903. The highest is Mar with 903" in answers
    assert "The lowest is Jan with 701." in answers
    assert "| Feb | 802 |" in answers
    coloured = " ".join(chart.ask(rng, printed, ("red", "blue", "pink"))[1] for _ in range(60))
    assert "The blue bar is Feb with 802." in coloured


def test_questions_ask_for_several_bars_in_any_order():
    rng = random.Random(5)
    series = Series("Sales", ("Jan", "Feb", "Mar"), (701, 802, 903), "", True)
    colours = ("red", "blue", "pink")
    asked = dict(chart.ask_for_several(rng, series, colours) for _ in range(2000))
    assert asked["How much are Mar and Jan?"] == "Mar is 903 and Jan is 701."
    assert asked["Which are 802, 701 and 903?"] == "802 is Feb, 701 is Jan and 903 is Mar."
    assert asked["What are the pink and red bars?"] == (
        "The pink bar is Mar with 903 and the red bar is Jan with 701."
    )
    plain = replace(series, is_printed=False)
    assert chart.ask_for_several(rng, plain, colours)[0].startswith("What are the ")
