import threading

from phi3v.line import Line


def test_places_are_counted_from_the_next_and_move_up():
    line = Line()
    first, second, third = object(), object(), object()
    for item in (first, second, third):
        line.join(item)
    assert [line.place(item) for item in (first, second, third)] == [(1, 3), (2, 3), (3, 3)]
    assert line.take() is first
    assert [line.place(item) for item in (first, second, third)] == [(0, 2), (1, 2), (2, 2)]
    line.leave(second)
    line.leave(first)
    assert line.place(third) == (1, 1)


def test_equal_items_are_not_taken_for_each_other():
    line = Line()
    first, second = [], []
    line.join(first)
    line.join(second)
    assert line.place(second) == (2, 2)
    line.leave(second)
    assert line.place(first) == (1, 1)


def test_who_takes_waits_until_somebody_comes():
    line = Line()
    taken = []
    taker = threading.Thread(target=lambda: taken.append(line.take()))
    taker.start()
    line.join("one")
    taker.join(timeout=10)
    assert taken == ["one"]
