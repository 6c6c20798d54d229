import threading

from phi3v.conversation.request_queue import RequestQueue


def test_positions_count_from_the_next_request_and_decrease():
    queue = RequestQueue()
    first, second, third = object(), object(), object()
    for item in (first, second, third):
        queue.put(item)
    assert [queue.position(item) for item in (first, second, third)] == [(1, 3), (2, 3), (3, 3)]
    assert queue.get() is first
    assert [queue.position(item) for item in (first, second, third)] == [(0, 2), (1, 2), (2, 2)]
    queue.remove(second)
    queue.remove(first)
    assert queue.position(third) == (1, 1)


def test_equal_items_have_positions_of_their_own():
    queue = RequestQueue()
    first, second = [], []
    queue.put(first)
    queue.put(second)
    assert queue.position(second) == (2, 2)
    queue.remove(second)
    assert queue.position(first) == (1, 1)


def test_get_waits_for_an_item():
    queue = RequestQueue()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(queue.get()))
    thread.start()
    queue.put("one")
    thread.join(timeout=10)
    assert taken == ["one"]
