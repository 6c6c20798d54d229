"""Answers of a remote engine: text, figures, order, stopping, repetition."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from PIL import Image
from support.fake_server import MODEL, Exchange, echo, run_servers
from support.remote_engine import ask, connect, read

from phi3v.conversation.estimate import estimate_request
from phi3v.request import Request, RequestError, Sampling, Turn


def wait_until(is_so, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def write_slowly(exchange: Exchange) -> None:
    """A word every hundredth of a second, for five seconds or until the client leaves."""
    exchange.begin()
    for _ in range(500):
        if exchange.is_left():
            return
        exchange.say("word ")
        time.sleep(0.01)
    exchange.end()


def test_an_answer_comes_with_the_server_s_figures() -> None:
    with run_servers(echo) as servers, connect(*servers) as engine:
        text, statistics = read(engine, ask("One two three"))
    assert text == "One two three"
    assert (statistics.prompt_tokens, statistics.new_tokens) == (100, 3)
    assert (statistics.reused_tokens, statistics.finish_reason) == (64, "end")
    assert 0 < statistics.prompt_time <= statistics.time_to_first_token


def test_a_server_without_usage_is_counted_for() -> None:
    def write(exchange: Exchange) -> None:
        exchange.begin()
        exchange.say("Hello there")
        exchange.end()

    with run_servers(write) as servers, connect(*servers) as engine:
        _, statistics = read(engine, ask("Hi", Image.new("RGB", (336, 336))))
        expected = estimate_request(ask("Hi", Image.new("RGB", (336, 336))), engine)
        assert statistics.prompt_tokens == expected.prompt_tokens
        assert statistics.image_tokens == expected.image_tokens > 300
        assert statistics.new_tokens == len(engine.processor.tokenizer.encode("Hello there")) - 1


def test_probabilities_of_tokens_come_with_the_answer() -> None:
    with run_servers(echo) as servers, connect(*servers) as engine:
        request = ask("One two three", wants_probabilities=True)
        *_, last = engine.stream(request)
    assert "".join(token.text for token in last.tokens) == "One two three"
    assert [round(token.probability, 2) for token in last.tokens] == [0.14, 0.9, 0.9]


def test_tokens_that_share_an_event_keep_the_least_probability() -> None:
    def write(exchange: Exchange) -> None:
        exchange.begin()
        entries = [{"token": "?", "logprob": -3.0}, {"token": "?", "logprob": -0.1}]
        exchange.say("é", logprobs={"content": entries})
        exchange.end()

    with run_servers(write) as servers, connect(*servers) as engine:
        *_, last = engine.stream(ask("Hi", wants_probabilities=True))
    assert [token.text for token in last.tokens] == ["", "é"]


def test_a_cut_answer_says_so() -> None:
    with run_servers(echo) as servers, connect(*servers) as engine:
        text, statistics = read(engine, ask("One two three", count=2))
    assert (text, statistics.finish_reason) == ("One two", "length")


def test_a_stop_ends_the_request_on_the_server() -> None:
    stop = threading.Event()
    with run_servers(write_slowly) as (server,), connect(server) as engine:
        text = ""
        for chunk in engine.stream(ask("Go on"), stop):
            text += chunk.text
            if text:
                stop.set()
        wait_until(lambda: server.running == 0)
    assert chunk.statistics.finish_reason == "stopped"
    assert text.startswith("word")


def test_a_stop_before_the_first_token_ends_it_too() -> None:
    stop = threading.Event()
    with run_servers(lambda exchange: exchange.hang()) as (server,), connect(server) as engine:
        chunks = []
        for chunk in engine.stream(ask("Go on"), stop):
            chunks.append(chunk)
            if server.running:
                stop.set()
        wait_until(lambda: server.running == 0)
    statistics = chunks[-1].statistics
    assert (statistics.finish_reason, statistics.new_tokens) == ("stopped", 0)


def test_a_reader_that_leaves_ends_the_request_on_the_server() -> None:
    with run_servers(write_slowly) as (server,), connect(server) as engine:
        with closing(engine.stream(ask("Go on"))) as chunks:
            while not next(chunks).text:
                pass
        wait_until(lambda: server.running == 0)
        assert sum(one.running for one in engine.pool.servers) == 0


def test_endless_repetition_ends_the_request() -> None:
    with run_servers(write_slowly) as (server,), connect(server) as engine:
        text, statistics = read(engine, ask("Go on", count=2000))
        wait_until(lambda: server.running == 0)
    assert statistics.finish_reason == "loop"
    assert 40 < text.count("word") < 200


def test_repetition_is_kept_where_it_is_asked_for() -> None:
    def write(exchange: Exchange) -> None:
        exchange.begin()
        for _ in range(100):
            exchange.say("word ")
        exchange.end("length")

    with run_servers(write) as servers, connect(*servers) as engine:
        text, statistics = read(engine, ask("Go on", ends_loops=False))
        assert (text.count("word"), statistics.finish_reason) == (100, "length")
        assert read(engine, ask("Go on"))[1].finish_reason == "loop"


def test_heartbeats_tell_the_phase_while_there_is_no_text() -> None:
    gate = threading.Event()

    def write(exchange: Exchange) -> None:
        gate.wait()
        echo(exchange)

    with run_servers(write) as servers, connect(*servers, parallel=1) as engine:
        first, second = engine.stream(ask("One")), engine.stream(ask("Two"))
        assert next(first).phase == "prefill"
        waiting = next(second)
        assert (waiting.phase, waiting.number, waiting.total) == ("waiting", 1, 1)
        gate.set()
        assert "".join(chunk.text for chunk in first) == "One"
        assert "".join(chunk.text for chunk in second) == "Two"


def test_as_many_run_at_once_as_the_servers_take_and_the_others_keep_their_order() -> None:
    gate = threading.Event()
    begun: list[str] = []

    def write(exchange: Exchange) -> None:
        begun.append(exchange.question)
        gate.wait()
        echo(exchange)

    with run_servers(write) as (server,), connect(server, parallel=3) as engine:
        with ThreadPoolExecutor(8) as pool:
            answers = []
            for number in range(8):
                answers.append(pool.submit(read, engine, ask(f"Question {number}")))
                wait_until(lambda n=number: len(begun) + len(engine._queue._items) == n + 1)
            assert server.running == 3
            gate.set()
            texts = [answer.result()[0] for answer in answers]
        assert server.most_running == 3
    assert texts == [f"Question {number}" for number in range(8)]


def test_a_server_s_own_figures_say_how_many_it_takes() -> None:
    with run_servers(echo) as (server,):
        server.metrics = (
            'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_waiting 1.0\n'
            'vllm:cache_config_info{block_size="16",x="y",num_gpu_blocks="2000"} 1.0\n'
        )
        with connect(server) as engine:
            (known,) = engine.pool.servers
            assert (known.capacity, known.others) == (2000 * 16 // 2560, 3)


def test_limits_are_the_smaller_of_checkpoint_and_server() -> None:
    with run_servers(echo) as (server,):
        server.models = [MODEL | {"max_model_len": 300}]
        with connect(server) as engine:
            assert engine.context_length == 300
            with pytest.raises(RequestError, match="context holds 300"):
                read(engine, ask("word " * 400))
        assert server.bodies == []


def test_the_checkpoint_is_the_one_that_the_server_names() -> None:
    with run_servers(echo) as (server,):
        server.models = [{"id": "alias", "root": "embedded"}]
        with connect(server) as engine:
            assert (engine.name, engine.is_embedded) == ("embedded", True)
            read(engine, ask("Hi"))
        assert server.bodies[0]["model"] == "alias"


def test_a_server_without_a_list_is_asked_for_the_checkpoint_itself() -> None:
    with run_servers(echo) as (server,):
        server.models = []
        with connect(server, model="embedded") as engine:
            read(engine, ask("Hi"))
        assert server.bodies[0]["model"].endswith("embedded")


def test_a_follow_up_goes_to_the_server_that_has_the_conversation() -> None:
    with run_servers(echo, echo, echo) as servers, connect(*servers) as engine:
        first = ask("Hello")
        for _ in range(3):
            text, _ = read(engine, first)
            turns = (*first.turns, Turn("assistant", text), Turn("user", "And then?"))
            first = Request(turns, Sampling(8))
        assert sorted(len(server.bodies) for server in servers) == [0, 0, 3]


def test_an_answer_is_continued_by_the_server() -> None:
    turns = (Turn("user", "So?"), Turn("assistant", "It is"))
    with run_servers(echo) as (server,), connect(server) as engine:
        read(engine, replace(ask("So?"), turns=turns, is_continued=True))
    assert server.bodies[0]["continue_final_message"] is True


def test_a_request_chooses_among_the_models_that_a_server_offers() -> None:
    with run_servers(echo) as (server,):
        server.models = [MODEL, {"id": "an-adapter", "parent": "phi3v"}]
        with connect(server) as engine:
            read(engine, ask("Hi", adapter="an-adapter"))
            read(engine, ask("Hi", model="embedded"))
            with pytest.raises(RequestError, match="no model other; they have: an-adapter, "):
                read(engine, ask("Hi", model="other"))
    assert [body["model"] for body in server.bodies] == ["an-adapter", "phi3v"]
