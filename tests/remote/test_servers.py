"""The choice among servers: load, conversations, limits."""

import time

import pytest

from phi3v.remote.servers import MOST_AHEAD, Server, ServerPool
from phi3v.request import Request, Turn

HELLO = Request((Turn("user", "Hello"),))


@pytest.fixture
def pool() -> ServerPool:
    servers = [Server(f"http://{name}:8000", was_asked=True, model="m") for name in "abc"]
    return ServerPool(servers)


def follow_up(request: Request) -> Request:
    return Request((*request.turns, Turn("assistant", "Hi"), Turn("user", "And?")))


def test_requests_go_where_the_fewest_run(pool: ServerPool) -> None:
    taken = [pool.take(HELLO) for _ in range(6)]
    assert {server.running for server in pool.servers} == {2}
    pool.give_back(taken[4])
    assert pool.take(HELLO) is taken[4]


def test_requests_of_others_count_too(pool: ServerPool) -> None:
    pool.servers[0].others = pool.servers[1].others = 2
    assert pool.take(HELLO) is pool.servers[2]


def test_a_server_takes_no_more_than_it_says(pool: ServerPool) -> None:
    for server in pool.servers:
        server.capacity = 1
    assert all(pool.take(HELLO) for _ in range(3))
    assert pool.take(HELLO) is None


def test_parallel_bounds_all_and_overrides_capacities(pool: ServerPool) -> None:
    pool.parallel = 4
    for server in pool.servers:
        server.capacity = 1
    assert [pool.take(HELLO) is not None for _ in range(5)] == [True] * 4 + [False]


def test_a_conversation_stays_with_its_server(pool: ServerPool) -> None:
    pool.remember(HELLO, pool.servers[2])
    pool.servers[2].running = 1
    assert pool.take(follow_up(HELLO)) is pool.servers[2]
    assert pool.take(HELLO) is pool.servers[0]  # another user's first question
    longer = follow_up(follow_up(HELLO))
    assert pool.take(longer) is pool.servers[2]


def test_a_conversation_leaves_a_server_that_is_far_busier(pool: ServerPool) -> None:
    pool.remember(HELLO, pool.servers[2])
    pool.servers[2].running = MOST_AHEAD
    assert pool.take(follow_up(HELLO)) is pool.servers[0]


def test_a_dead_or_resting_or_excluded_server_gets_none(pool: ServerPool) -> None:
    first, second, third = pool.servers
    first.model = ""
    second.rests_until = time.monotonic() + 60
    assert pool.take(HELLO, excluded=[third]) is None
    assert pool.take(HELLO) is third
