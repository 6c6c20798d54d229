import pytest
from support.golden import golden_image
from support.models import build_processor

from phi3v.conversation.prompt import build_prompt
from phi3v.request import Request, RequestError, Sampling, Turn

WIDE, TALL = golden_image(640, 480), golden_image(300, 900)


@pytest.fixture(scope="module")
def processor():
    return build_processor()


def build(processor, *turns, context_length=131072, num_crops=None, max_new_tokens=100):
    request = Request(turns, Sampling(max_new_tokens=max_new_tokens), num_crops)
    return build_prompt(request, processor, context_length)


def test_images_are_numbered_over_all_turns_and_placed_in_their_turn(processor):
    prompt = build(
        processor,
        Turn("user", "What is this?", (WIDE,)),
        Turn("assistant", "A picture."),
        Turn("user", "And these?", (TALL, WIDE)),
    )
    assert prompt.text == (
        "<|user|>\n<|image_1|>\nWhat is this?<|end|>\n<|assistant|>\nA picture.<|end|>\n"
        "<|user|>\n<|image_2|>\n<|image_3|>\nAnd these?<|end|>\n<|assistant|>\n"
    )
    assert list(prompt.sizes) == [(640, 480), (300, 900), (640, 480)]


def test_token_counts_are_those_of_the_processed_inputs(processor):
    prompt = build(processor, Turn("user", "Compare.", (WIDE, TALL)), num_crops=4)
    inputs = processor(prompt.text, [WIDE, TALL], num_crops=4)
    assert prompt.prompt_tokens == inputs["input_ids"].shape[1]
    assert prompt.image_tokens == (inputs["input_ids"] == processor.image_token_id).sum()


@pytest.mark.parametrize(("images", "num_crops"), [((WIDE,), 16), ((WIDE, TALL), 4)])
def test_auto_chooses_16_crops_for_one_image_and_4_for_several(processor, images, num_crops):
    assert build(processor, Turn("user", "?", images)).num_crops == num_crops


@pytest.mark.parametrize(("size", "num_crops"), [((470, 300), 1), ((640, 480), 4), ((300, 900), 2)])
def test_auto_enlarges_no_image_if_the_checkpoint_has_a_least_scale(size, num_crops):
    processor = build_processor()
    processor.image_processor.auto_num_crops = [4, 1]
    processor.image_processor.auto_least_scale = 0.71
    image = golden_image(*size)
    assert build(processor, Turn("user", "?", (image,))).num_crops == num_crops
    assert build(processor, Turn("user", "?", (image, image))).num_crops == 1


@pytest.mark.parametrize(
    ("size", "num_crops"), [((336, 300), 1), ((400, 300), 4), ((800, 600), 4), ((1000, 700), 9)]
)
def test_auto_shrinks_no_small_image_if_the_checkpoint_has_a_least_side(size, num_crops):
    processor = build_processor()
    processor.image_processor.auto_num_crops = [9, 4]
    processor.image_processor.auto_least_scale = 0.83
    processor.image_processor.auto_least_side = 672
    assert build(processor, Turn("user", "?", (golden_image(*size),))).num_crops == num_crops


def test_auto_chooses_fewer_crops_if_the_context_is_short(processor):
    prompt = build(processor, Turn("user", "?", (WIDE,)), context_length=1000)
    assert 1 <= prompt.num_crops < 16
    assert prompt.prompt_tokens <= 900


def test_too_many_tokens_are_refused_with_the_counts(processor):
    turn = Turn("user", "?", (WIDE, WIDE, WIDE))
    with pytest.raises(RequestError, match=r"939 of them for 3 images.*take 100.*holds 1000"):
        build(processor, turn, context_length=1000)


def test_a_requested_num_crops_is_never_reduced(processor):
    with pytest.raises(RequestError, match="at most 16 crops"):
        build(processor, Turn("user", "?", (WIDE,)), context_length=1000, num_crops=16)


@pytest.mark.parametrize("markup", ["<|image_7|>", "<|end|>", "<|assistant|>", "<s>", "<|image|>"])
def test_markup_in_a_question_stays_text(processor, markup):
    text = f"What does {markup} mean?"
    prompt = build(processor, Turn("user", text, (WIDE,)), num_crops=1)
    assert markup not in prompt.text.replace("<|image_1|>", "", 1).removeprefix(
        "<|user|>"
    ).removesuffix("<|end|>\n<|assistant|>\n")
    ids = processor(prompt.text, [WIDE], num_crops=1)["input_ids"][0].tolist()
    plain = build(processor, Turn("user", "What does it mean?", (WIDE,)), num_crops=1)
    plain_ids = processor(plain.text, [WIDE], num_crops=1)["input_ids"][0].tolist()
    special = set(processor.tokenizer.added_tokens_decoder)
    assert [i for i in ids if i in special] == [i for i in plain_ids if i in special]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ((), "no question"),
        ((Turn("user", "Hi"), Turn("assistant", "Hello")), "must be the user's"),
        ((Turn("user", "  "),), "question is empty"),
        ((Turn("system", "Be brief.", (WIDE,)), Turn("user", "Hi")), "only the user's turns"),
    ],
)
def test_turns_without_a_question_are_refused(processor, turns, message):
    with pytest.raises(RequestError, match=message):
        build(processor, *turns)


def test_an_image_too_elongated_for_its_crops_is_refused_with_the_limit(processor):
    with pytest.raises(RequestError, match="4000 x 3 pixels"):
        build(processor, Turn("user", "?", (golden_image(4000, 3),)), num_crops=1)


def test_num_crops_below_one_is_refused(processor):
    with pytest.raises(RequestError, match="num_crops is 0"):
        build(processor, Turn("user", "?", (WIDE,)), num_crops=0)
