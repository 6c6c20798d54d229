"""Faults of servers: each is survived, or told in words that say what to do."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from support.fake_server import Exchange, FakeServer, Script, echo, run_servers
from support.remote_engine import LIMITS, ask, connect, read

from phi3v.remote.asking import Limits
from phi3v.request import RequestError

SECRET = "sk-a-secret-key"


def refuse(status: int, message: str = "no", **headers: str) -> Script:
    return lambda exchange: exchange.refuse(status, message, **headers)


def break_off(*pieces: str, tail: bytes = b"") -> Script:
    """Say some pieces, then close the connection; tail is sent before."""

    def write(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.say(piece)
        exchange.send(tail)

    return write


def hang_after(*pieces: str) -> Script:
    def write(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.say(piece)
        exchange.hang()
        exchange.say(" too late")
        exchange.end()

    return write


def answer_late(exchange: Exchange) -> None:
    exchange.hang()
    echo(exchange)


BEFORE_THE_FIRST_TOKEN = {
    "dies before headers": lambda exchange: None,
    "dies after headers": break_off(),
    "dies after an empty piece": break_off(""),
    "half an event": break_off(tail=b'data: {"choices": [{"del'),
    "an event of another form": break_off(tail=b'data: {"choices": [1]}\n\n'),
    "no events at all": break_off(tail=b"<html>Bad gateway</html>\n\n"),
    "an error as an event": break_off(tail=b'data: {"error": {"message": "no", "code": 500}}\n\n'),
    "500": refuse(500, "out of memory"),
    "502": refuse(502),
    "404": refuse(404, "no such model"),
    "401": refuse(401),
    "a redirect": refuse(307, Location="http://127.0.0.1:9/v1/chat/completions"),
    "silence": answer_late,
    "silence after headers": hang_after(),
}


def first_asked(broken: Script) -> tuple[Script, Script]:
    """Return scripts of which the one that is asked first is broken, and the other answers."""
    lock = threading.Lock()
    asked: list[int] = []

    def answer(number: int) -> Script:
        def write(exchange: Exchange) -> None:
            with lock:
                asked.append(number)
                is_broken = asked[0] == number
            (broken if is_broken else echo)(exchange)

        return write

    return answer(0), answer(1)


@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_TOKEN)
def test_a_request_without_a_token_is_asked_elsewhere(fault: str) -> None:
    limits = Limits(connect=2, first=0.3, next=20)
    scripts = first_asked(BEFORE_THE_FIRST_TOKEN[fault])
    with run_servers(*scripts) as servers, connect(*servers, limits=limits) as engine:
        text, statistics = read(engine, ask("One two"))
    assert (text, statistics.finish_reason) == ("One two", "end")
    assert sum(len(server.bodies) for server in servers) == 2


AFTER_THE_FIRST_TOKEN = {
    "dies": break_off("Some ", "words"),
    "half an event": break_off("Some ", "words", tail=b'data: {"choi'),
    "an error": break_off("Some ", "words", tail=b'data: {"error": {"message": "no"}}\n\n'),
    "silence": hang_after("Some ", "words"),
}


@pytest.mark.parametrize("fault", AFTER_THE_FIRST_TOKEN)
def test_an_answer_that_has_begun_ends_with_what_was_written(fault: str) -> None:
    limits = Limits(connect=2, first=20, next=0.3)
    scripts = first_asked(AFTER_THE_FIRST_TOKEN[fault])
    with run_servers(*scripts) as servers, connect(*servers, limits=limits) as engine:
        text, statistics = read(engine, ask("One two"))
    assert (text, statistics.finish_reason) == ("Some words", "interrupted")
    assert sum(len(server.bodies) for server in servers) == 1


def test_an_answer_is_whole_once_its_reason_came() -> None:
    def write(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say("All of it")
        exchange.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        exchange.send(b'data: {"usage')

    with run_servers(write) as servers, connect(*servers) as engine:
        text, statistics = read(engine, ask("Hi"))
    assert (text, statistics.finish_reason) == ("All of it", "end")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (refuse(500, "out of memory"), r"failed with 500 \(out of memory\)\. Try again"),
        (refuse(401), "set PHI3V_SERVER_KEY"),
        (refuse(307, Location="http://127.0.0.1:9/"), "give its final address with --server"),
        (refuse(404, "no model m"), r"failed with 404 \(no model m\)"),
        (refuse(413, "too large"), "refuses the request: too large"),
        (break_off(), "broke off before the answer was whole"),
    ],
)
def test_what_no_server_can_answer_is_told(script: Script, said: str) -> None:
    with (
        run_servers(script, script) as servers,
        connect(*servers) as engine,
        pytest.raises(RequestError, match=said),
    ):
        read(engine, ask("Hi"))
    assert sum(len(server.bodies) for server in servers) <= 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_told_in_the_server_s_words_and_asked_nowhere_else(status: int) -> None:
    script = refuse(status, "the prompt is too long")
    with run_servers(script, script) as servers, connect(*servers) as engine:
        with pytest.raises(RequestError, match="refuses the request: the prompt is too long"):
            read(engine, ask("Hi"))
        assert 0 in [len(server.bodies) for server in servers]
        # It was not the optional fields, so they are sent again.
        assert all(not one.refused_fields for one in engine.pool.servers)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("message", ["Unexpected fields: {field}", "Validation error"])
def test_fields_that_a_server_does_not_take_are_left_out_and_remembered(
    status: int, message: str
) -> None:
    field = "mm_processor_kwargs"

    def write(exchange: Exchange) -> None:
        if field in exchange.body:
            exchange.refuse(status, message.format(field=field))
        else:
            echo(exchange)

    picture = Image.new("RGB", (900, 900))
    with run_servers(write) as (server,), connect(server) as engine:
        assert read(engine, ask("One", picture))[0] == "One"
        assert read(engine, ask("Two", picture))[0] == "Two"
        # The server cuts as many crops as its files say, and so does the estimate.
        assert engine.processor.image_processor.auto_num_crops == (1, 1)
    assert [field in body for body in server.bodies] == [True, False, False]
    assert all("stop_token_ids" in body for body in server.bodies)


def test_a_server_that_names_no_field_is_asked_without_any() -> None:
    def write(exchange: Exchange) -> None:
        known = {"model", "messages", "max_tokens", "temperature", "stream"}
        if exchange.body.keys() <= known:
            echo(exchange)
        else:
            exchange.refuse(422, "Unexpected fields")

    with run_servers(write) as (server,), connect(server) as engine:
        assert read(engine, ask("One"))[0] == "One"
        assert read(engine, ask("Two"))[0] == "Two"
    assert len(server.bodies) == 3


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    asked_at: list[float] = []

    def write(exchange: Exchange) -> None:
        asked_at.append(time.monotonic())
        if len(asked_at) == 1:
            exchange.refuse(429, "busy", Retry_After="1")
        else:
            echo(exchange)

    with run_servers(write) as servers, connect(*servers) as engine:
        assert read(engine, ask("One"))[0] == "One"
    assert asked_at[1] - asked_at[0] >= 1


def test_a_busy_server_s_request_goes_to_another_at_once() -> None:
    scripts = first_asked(refuse(429, "busy", Retry_After="30"))
    with run_servers(*scripts) as servers, connect(*servers) as engine:
        assert read(engine, ask("One"))[0] == "One"
    assert sum(len(server.bodies) for server in servers) == 2


def test_the_key_goes_to_the_servers_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with run_servers(echo) as (other,):
        place = f"{other.url}/v1/chat/completions"
        with run_servers(refuse(308, Location=place)) as (server,):
            server.key = SECRET
            with connect(server, key=SECRET) as engine:
                with pytest.raises(RequestError) as refusal:
                    read(engine, ask("Hi"))
                assert SECRET not in str(refusal.value) + repr(engine.__dict__)
            assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert other.headers == []
    assert SECRET not in caplog.text


def test_a_wrong_key_is_told_before_anything_is_asked() -> None:
    with run_servers(echo) as (server,):
        server.key = SECRET
        with connect(server, key="wrong") as engine:
            assert engine.status.state == "unreachable"
            assert "set PHI3V_SERVER_KEY" in engine.status.problem
            with pytest.raises(RequestError, match="set PHI3V_SERVER_KEY"):
                read(engine, ask("Hi"))
        assert server.bodies == []


def wait_for_state(engine, state: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while engine.status.state != state:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_engine_comes_alive_when_a_server_does_and_says_when_it_is_gone() -> None:
    server = FakeServer()
    server.kill()
    with connect(server) as engine:
        assert engine.status.state == "unreachable"
        assert f"127.0.0.1:{server.port} cannot be reached" in engine.status.problem
        with pytest.raises(RequestError, match="No server answers"):
            read(engine, ask("Hi"))
        again = FakeServer(port=server.port)
        try:
            wait_for_state(engine, "ready")
            assert read(engine, ask("Hi"))[0] == "Hi"
        finally:
            again.kill()
        wait_for_state(engine, "unreachable")


def test_a_dead_server_is_left_out_and_told_while_another_answers() -> None:
    dead = FakeServer()
    dead.kill()
    with run_servers(echo) as (server,), connect(dead, server) as engine:
        for number in range(4):
            assert read(engine, ask(f"Hi {number}"))[0] == f"Hi {number}"
        assert len(server.bodies) == 4
        assert (engine.status.state, engine.device) == ("ready", f"127.0.0.1:{server.port}")
        assert f"127.0.0.1:{dead.port} cannot be reached" in engine.status.problem


def test_a_server_that_has_died_is_not_asked_again_before_it_answers() -> None:
    with run_servers(echo, echo) as servers, connect(*servers, probe_interval=60) as engine:
        while not all(one.is_up for one in engine.pool.servers):
            time.sleep(0.01)
        servers[0].kill()
        for number in range(3):
            assert read(engine, ask(f"Hi {number}"))[0] == f"Hi {number}"
        assert engine.device == f"127.0.0.1:{servers[1].port}"


def test_a_server_that_names_no_known_checkpoint_is_told() -> None:
    with run_servers(echo) as (server,):
        server.models = [{"id": "alias"}]
        with connect(server) as engine:
            assert engine.status.state == "unreachable"
            assert "say with --model which one it is" in engine.status.problem


def test_two_servers_of_which_one_dies_under_twenty_clients() -> None:
    """No answer is lost that had no token, and none has words of another."""
    gate = threading.Event()

    def write(exchange: Exchange) -> None:
        words = exchange.question.split(" ")
        if int(words[0]) % 2:  # half of them have a token when the server dies
            exchange.begin()
            exchange.say(words[0])
        gate.wait()
        if not int(words[0]) % 2:
            exchange.begin()
            exchange.say(words[0])
        for word in words[1:]:
            exchange.say(" " + word)
        exchange.end()

    questions = [f"{number} " + " ".join(f"w{number}" for _ in range(9)) for number in range(20)]
    with run_servers(write, write) as (first, second):
        options = {"parallel": 20, "limits": LIMITS}
        with connect(first, second, **options) as engine, ThreadPoolExecutor(20) as pool:
            answers = [pool.submit(read, engine, ask(question)) for question in questions]
            end = time.monotonic() + 20
            while first.running + second.running < 20:
                assert time.monotonic() < end
                time.sleep(0.01)
            dying = {body["messages"][0]["content"] for body in first.bodies}
            time.sleep(0.3)  # the first tokens arrive
            first.kill()
            gate.set()
            texts = [answer.result() for answer in answers]
    assert 5 < len(dying) < 15
    for question, (text, statistics) in zip(questions, texts, strict=True):
        if question in dying and int(question.split()[0]) % 2:
            assert (text, statistics.finish_reason) == (question.split()[0], "interrupted")
        else:
            assert (text, statistics.finish_reason) == (question, "end")
