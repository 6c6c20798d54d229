"""Loops end answers; cut answers go on; tokens bring their probabilities."""

from dataclasses import replace

import pytest
import torch
from support.models import WrappedModel, build_processor, build_random_model

from phi3v import Engine, Request, RequestError, Sampling, Turn, load
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import EXAMPLES

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").exists(),
    reason="the embedded checkpoint is not here; see training/",
)


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def network(processor):
    return build_random_model(processor, seed=0, max_position_embeddings=8192)


@pytest.fixture(scope="module")
def embedded():
    return load("embedded", dtype="float32")


class ScriptedNetwork(WrappedModel):
    """A network that says given tokens, again and again."""

    def __init__(self, network, ids):
        super().__init__(network)
        self.ids = ids

    def generate(self, input_ids, **kwargs):
        begin = input_ids.shape[1]

        def say(ids, scores):
            scores = torch.full_like(scores, -1e9)
            scores[:, self.ids[(ids.shape[1] - begin) % len(self.ids)]] = 0.0
            return scores

        return self.model_behind.generate(input_ids, logits_processor=[say], **kwargs)


def answer(engine, request):
    """The text and the last chunk."""
    chunks = list(engine.stream(request))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def say_again_and_again(network, processor, text, **request):
    ids = processor.tokenizer(text, add_special_tokens=False).input_ids
    engine = Engine(ScriptedNetwork(network, ids), processor, "scripted")
    return answer(engine, Request((Turn("user", "Hi"),), Sampling(max_new_tokens=600), **request))


LINE = "\nthe red circle is left of a blue square"


def test_a_loop_ends_the_answer_with_its_own_reason(network, processor):
    text, last = say_again_and_again(network, processor, LINE)
    assert last.statistics.finish_reason == "loop"
    assert last.statistics.new_tokens < 600
    assert text.count(LINE) >= 12


def test_who_wants_the_loop_gets_it(network, processor):
    _, last = say_again_and_again(network, processor, LINE, ends_loops=False)
    assert (last.statistics.finish_reason, last.statistics.new_tokens) == ("length", 600)


def test_a_column_of_equal_numbers_is_no_loop(network, processor):
    column = "\n5.00" * 45 + "\nTotal 225.00"
    ids = processor.tokenizer(column, add_special_tokens=False).input_ids
    engine = Engine(ScriptedNetwork(network, ids), processor, "scripted")
    request = Request((Turn("user", "Hi"),), Sampling(max_new_tokens=len(ids)))
    assert answer(engine, request)[1].statistics.finish_reason == "length"


@pytest.mark.parametrize(("times", "reason"), [(5, "length"), (8, "loop")])
def test_where_it_is_cut_an_answer_that_repeated_itself_was_a_loop(
    network, processor, times, reason
):
    ids = processor.tokenizer(LINE, add_special_tokens=False).input_ids
    engine = Engine(ScriptedNetwork(network, ids), processor, "scripted")
    request = Request((Turn("user", "Hi"),), Sampling(max_new_tokens=times * len(ids)))
    assert answer(engine, request)[1].statistics.finish_reason == reason
    wanted = replace(request, ends_loops=False)
    assert answer(engine, wanted)[1].statistics.finish_reason == "length"


def continued(request, text, tokens, count):
    turn = Turn("assistant", text, token_ids=tuple(token.id for token in tokens))
    return replace(
        request,
        turns=(*request.turns, turn),
        sampling=replace(request.sampling, max_new_tokens=count),
        is_continued=True,
    )


@needs_embedded
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_continued_answer_is_the_one_asked_for_at_once(embedded, share):
    question = Turn("user", "Describe this image.", (EXAMPLES / "shapes.png",))
    request = Request((question,), Sampling(max_new_tokens=40))
    whole, whole_last = answer(embedded, request)
    cut = max(1, round(share * (len(whole_last.tokens) - 1)))
    short = replace(request, sampling=Sampling(max_new_tokens=cut))
    text, last = answer(embedded, short)
    assert last.statistics.finish_reason == "length"
    for reuse in (True, False):
        engine = embedded if reuse else Engine(embedded.model, embedded.processor, "fresh", 0)
        rest, rest_last = answer(engine, continued(short, text, last.tokens, 40 - cut))
        assert text + rest == whole
        assert last.tokens + rest_last.tokens == whole_last.tokens
        assert rest_last.statistics.finish_reason == whole_last.statistics.finish_reason


@pytest.mark.parametrize("cut", range(1, 24, 3))
def test_random_tokens_are_continued_exactly(network, processor, cut):
    network = network.double()
    engine = Engine(network, processor, "random")
    request = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=24))
    whole, whole_last = answer(engine, request)
    text, last = answer(engine, replace(request, sampling=Sampling(max_new_tokens=cut)))
    rest, rest_last = answer(engine, continued(request, text, last.tokens, 24 - cut))
    assert text + rest == whole
    assert last.tokens + rest_last.tokens == whole_last.tokens


def test_an_answer_without_its_tokens_is_continued_by_its_text(network, processor):
    engine = Engine(network, processor, "random")
    turns = (Turn("user", "Hello"), Turn("assistant", "A red circle"))
    prompt_tokens = [
        answer(engine, Request(some, Sampling(max_new_tokens=3), is_continued=len(some) > 1))[
            1
        ].statistics.prompt_tokens
        for some in (turns[:1], turns)
    ]
    assert prompt_tokens[1] > prompt_tokens[0]


@pytest.mark.parametrize("ids", [(1, 2, 3), (10**9,), (-1,)])
def test_tokens_that_are_not_the_text_s_are_left_aside(network, processor, ids):
    engine = Engine(network, processor, "random")
    request = Request(
        (Turn("user", "Hello"), Turn("assistant", "A red circle", token_ids=ids)),
        Sampling(max_new_tokens=3),
        is_continued=True,
    )
    plain = replace(request, turns=(request.turns[0], Turn("assistant", "A red circle")))
    assert answer(engine, request)[0] == answer(engine, plain)[0]


def test_only_an_answer_can_be_continued(network, processor):
    engine = Engine(network, processor, "random")
    request = Request((Turn("user", "Hi"), Turn("user", "there")), is_continued=True)
    with pytest.raises(RequestError, match="only an answer's text can be continued"):
        next(engine.stream(request))


def test_a_continued_answer_needs_a_question_before_it(network, processor):
    engine = Engine(network, processor, "random")
    with pytest.raises(RequestError, match="no question"):
        next(engine.stream(Request((Turn("assistant", "Hi"),), is_continued=True)))


def test_probabilities_come_only_when_asked_for(network, processor):
    engine = Engine(network, processor, "random")
    request = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=6))
    text, last = answer(engine, request)
    assert [token.probability for token in last.tokens] == [None] * 6
    asked_text, asked = answer(engine, replace(request, wants_probabilities=True))
    assert asked_text == text == "".join(token.text for token in asked.tokens)
    assert all(0 < token.probability <= 1 for token in asked.tokens)


def test_probabilities_are_those_of_the_network_s_own_scores(network, processor):
    engine = Engine(network, processor, "random")
    sampling = Sampling(max_new_tokens=5, temperature=1.5, top_p=0.9, seed=3)
    request = Request((Turn("user", "Hello"),), sampling, wants_probabilities=True)
    _, last = answer(engine, request)
    prompt = processor("<|user|>\nHello<|end|>\n<|assistant|>\n")["input_ids"]
    ids = torch.cat([prompt, torch.tensor([[token.id for token in last.tokens]])], dim=1)
    with torch.inference_mode():
        logits = network(input_ids=ids).logits[0, prompt.shape[1] - 1 : -1]
    expected = logits.float().softmax(-1).gather(1, ids[0, prompt.shape[1] :, None])[:, 0]
    got = torch.tensor([token.probability for token in last.tokens])
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)
