"""Repetition ends answers, truncated answers are continued, tokens have probabilities."""

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
def model(processor):
    return build_random_model(processor, seed=0, max_position_embeddings=8192)


@pytest.fixture(scope="module")
def embedded():
    return load("embedded", dtype="float32")


class ScriptedModel(WrappedModel):
    """A model that generates given tokens, over and over."""

    def __init__(self, model, ids):
        super().__init__(model)
        self.ids = ids

    def generate(self, input_ids, **kwargs):
        begin = input_ids.shape[1]

        def force(ids, scores):
            scores = torch.full_like(scores, -1e9)
            scores[:, self.ids[(ids.shape[1] - begin) % len(self.ids)]] = 0.0
            return scores

        return self.model_behind.generate(input_ids, logits_processor=[force], **kwargs)


def answer(engine, request):
    """Return the text and the last chunk."""
    chunks = list(engine.stream(request))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def answer_with_repetition(model, processor, text, **request):
    ids = processor.tokenizer(text, add_special_tokens=False).input_ids
    engine = Engine(ScriptedModel(model, ids), processor, "scripted")
    return answer(engine, Request((Turn("user", "Hi"),), Sampling(max_new_tokens=600), **request))


LINE = "\nthe red circle is left of a blue square"


def test_repetition_ends_an_answer_with_a_finish_reason_of_its_own(model, processor):
    text, last = answer_with_repetition(model, processor, LINE)
    assert last.statistics.finish_reason == "loop"
    assert last.statistics.new_tokens < 600
    assert text.count(LINE) >= 12


def test_repetition_does_not_end_an_answer_if_that_is_disabled(model, processor):
    _, last = answer_with_repetition(model, processor, LINE, ends_loops=False)
    assert (last.statistics.finish_reason, last.statistics.new_tokens) == ("length", 600)


def test_a_column_of_equal_numbers_is_no_repetition(model, processor):
    column = "\n5.00" * 45 + "\nTotal 225.00"
    ids = processor.tokenizer(column, add_special_tokens=False).input_ids
    engine = Engine(ScriptedModel(model, ids), processor, "scripted")
    request = Request((Turn("user", "Hi"),), Sampling(max_new_tokens=len(ids)))
    assert answer(engine, request)[1].statistics.finish_reason == "length"


@pytest.mark.parametrize(("times", "reason"), [(5, "length"), (8, "loop")])
def test_a_truncated_answer_that_repeated_itself_ends_as_repetition(
    model, processor, times, reason
):
    ids = processor.tokenizer(LINE, add_special_tokens=False).input_ids
    engine = Engine(ScriptedModel(model, ids), processor, "scripted")
    request = Request((Turn("user", "Hi"),), Sampling(max_new_tokens=times * len(ids)))
    assert answer(engine, request)[1].statistics.finish_reason == reason
    endless = replace(request, ends_loops=False)
    assert answer(engine, endless)[1].statistics.finish_reason == "length"


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
def test_a_continued_answer_equals_an_uninterrupted_one(embedded, share):
    question = Turn("user", "Describe this image.", (EXAMPLES / "shapes.png",))
    request = Request((question,), Sampling(max_new_tokens=40))
    whole, whole_last = answer(embedded, request)
    cut = max(1, round(share * (len(whole_last.tokens) - 1)))
    short = replace(request, sampling=Sampling(max_new_tokens=cut))
    text, last = answer(embedded, short)
    assert last.statistics.finish_reason == "length"
    for is_cached in (True, False):
        engine = embedded if is_cached else Engine(embedded.model, embedded.processor, "fresh", 0)
        rest, rest_last = answer(engine, continued(short, text, last.tokens, 40 - cut))
        assert text + rest == whole
        assert last.tokens + rest_last.tokens == whole_last.tokens
        assert rest_last.statistics.finish_reason == whole_last.statistics.finish_reason


@pytest.mark.parametrize("cut", range(1, 24, 3))
def test_an_answer_of_random_tokens_is_continued_exactly(model, processor, cut):
    model = model.double()
    engine = Engine(model, processor, "random")
    request = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=24))
    whole, whole_last = answer(engine, request)
    text, last = answer(engine, replace(request, sampling=Sampling(max_new_tokens=cut)))
    rest, rest_last = answer(engine, continued(request, text, last.tokens, 24 - cut))
    assert text + rest == whole
    # Ids: the text of invalid bytes on both sides of the cut has no token of its own.
    tokens = last.tokens + rest_last.tokens
    assert [token.id for token in tokens] == [token.id for token in whole_last.tokens]


def test_an_answer_without_its_tokens_is_continued_by_its_text(model, processor):
    engine = Engine(model, processor, "random")
    turns = (Turn("user", "Hello"), Turn("assistant", "A red circle"))
    prompt_tokens = [
        answer(engine, Request(some, Sampling(max_new_tokens=3), is_continued=len(some) > 1))[
            1
        ].statistics.prompt_tokens
        for some in (turns[:1], turns)
    ]
    assert prompt_tokens[1] > prompt_tokens[0]


@pytest.mark.parametrize("ids", [(1, 2, 3), (10**9,), (-1,)])
def test_tokens_that_do_not_match_the_text_are_ignored(model, processor, ids):
    engine = Engine(model, processor, "random")
    request = Request(
        (Turn("user", "Hello"), Turn("assistant", "A red circle", token_ids=ids)),
        Sampling(max_new_tokens=3),
        is_continued=True,
    )
    plain = replace(request, turns=(request.turns[0], Turn("assistant", "A red circle")))
    assert answer(engine, request)[0] == answer(engine, plain)[0]


def test_only_an_answer_can_be_continued(model, processor):
    engine = Engine(model, processor, "random")
    request = Request((Turn("user", "Hi"), Turn("user", "there")), is_continued=True)
    with pytest.raises(RequestError, match="only an answer's text can be continued"):
        next(engine.stream(request))


def test_a_continued_answer_needs_a_question_before_it(model, processor):
    engine = Engine(model, processor, "random")
    with pytest.raises(RequestError, match="no question"):
        next(engine.stream(Request((Turn("assistant", "Hi"),), is_continued=True)))


def test_probabilities_are_recorded_only_on_request(model, processor):
    engine = Engine(model, processor, "random")
    request = Request((Turn("user", "Hello"),), Sampling(max_new_tokens=6))
    text, last = answer(engine, request)
    assert [token.probability for token in last.tokens] == [None] * 6
    asked_text, asked = answer(engine, replace(request, wants_probabilities=True))
    assert asked_text == text == "".join(token.text for token in asked.tokens)
    assert all(0 < token.probability <= 1 for token in asked.tokens)


def test_probabilities_are_those_of_the_model_s_own_logits(model, processor):
    engine = Engine(model, processor, "random")
    sampling = Sampling(max_new_tokens=5, temperature=1.5, top_p=0.9, seed=3)
    request = Request((Turn("user", "Hello"),), sampling, wants_probabilities=True)
    _, last = answer(engine, request)
    prompt = processor("<|user|>\nHello<|end|>\n<|assistant|>\n")["input_ids"]
    ids = torch.cat([prompt, torch.tensor([[token.id for token in last.tokens]])], dim=1)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, prompt.shape[1] - 1 : -1]
    expected = logits.float().softmax(-1).gather(1, ids[0, prompt.shape[1] :, None])[:, 0]
    got = torch.tensor([token.probability for token in last.tokens])
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)
