"""Tables that training draws, and the questions about them."""

import random

from training import table, text

CELLS = [["Item", "Price", "Count"], ["Tea", "$2.10", "14"], ["Cake", "$3.50", "7"]]


def test_questions_ask_for_whole_tables_rows_and_cells():
    rng = random.Random(6)
    asked = dict(table.ask(rng, CELLS) for _ in range(2000))
    assert asked["Convert this table to Markdown."] == (
        "| Item | Price | Count |\n| --- | --- | --- |\n| Tea | $2.10 | 14 |\n| Cake | $3.50 | 7 |"
    )
    assert asked["OCR"] == "Item Price Count\nTea $2.10 14\nCake $3.50 7"
    assert asked["Give the row Cake."] == "| Cake | $3.50 | 7 |"
    assert asked["Write the rows Cake and Tea."] == "| Cake | $3.50 | 7 |\n| Tea | $2.10 | 14 |"
    assert asked["What is Count of Tea?"] == "Count of Tea is 14."
    assert asked["What is Price of Cake and Count of Tea?"] == (
        "Price of Cake is $3.50 and Count of Tea is 14."
    )


def test_rows_and_cells_are_asked_for_only_by_unique_names():
    rng = random.Random(7)
    whole = (*table.QUESTIONS, *text.QUESTIONS)
    for twice in ([*CELLS, ["Tea", "$1.00", "2"]], [["Item", "Price", "Price"], *CELLS[1:]]):
        assert all(table.ask(rng, twice)[0] in whole for _ in range(200))
