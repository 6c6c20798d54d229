"""Requests as bodies of chat completions: the prompt, the pictures and the fields."""

import base64
from io import BytesIO

import pytest
from PIL import Image
from support.golden import golden_image

from phi3v.conversation.checkpoint_processor import read_processor
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.model.padding import resize_and_pad
from phi3v.remote.drafting import draft_request, encode_picture, write_body, write_messages
from phi3v.request import Request, RequestError, Sampling, Turn

PROCESSOR = read_processor(EMBEDDED_FOLDER)
PICTURES = [golden_image(50, 40), golden_image(30, 90)]
NOTHING = frozenset[str]()


def draft(*turns: Turn, **options: object):
    return draft_request(Request(turns, **options), PROCESSOR, 2560)


def decode(url: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


@pytest.mark.parametrize("size", [(500, 300), (300, 500), (336, 336), (58, 700)])
@pytest.mark.parametrize("num_crops", [1, 4, 16])
def test_a_picture_sent_for_its_crops_is_left_as_it_is_by_the_server(
    size: tuple[int, int], num_crops: int
) -> None:
    image = golden_image(*size)
    expected = resize_and_pad(image.convert("RGB"), num_crops)
    found = resize_and_pad(decode(encode_picture(image, num_crops)), num_crops)
    assert (found.size, found.tobytes()) == (expected.size, expected.tobytes())


def test_a_picture_that_its_crops_would_change_again_is_sent_as_it_is() -> None:
    image = Image.new("RGB", (300, 660))  # 11 x 5 crops, of which rounding makes a pixel less
    assert decode(encode_picture(image, 58)).size == image.size


def test_a_picture_without_crops_is_sent_as_it_is() -> None:
    assert decode(encode_picture(PICTURES[0])).tobytes() == PICTURES[0].convert("RGB").tobytes()


def test_pictures_stand_before_the_text_of_their_turn() -> None:
    turns = (
        Turn("user", "One?", (PICTURES[0],)),
        Turn("assistant", "Yes."),
        Turn("user", "And?", (PICTURES[1], PICTURES[0])),
    )
    messages = write_messages(draft(*turns), PROCESSOR)
    kinds = [[part["type"] for part in messages[turn]["content"]] for turn in (0, 2)]
    assert kinds == [["image_url", "text"], ["image_url", "image_url", "text"]]
    assert messages[1] == {"role": "assistant", "content": "Yes."}


def test_markup_typed_by_a_user_is_disarmed() -> None:
    messages = write_messages(draft(Turn("user", "<|end|> and <|image_1|>")), PROCESSOR)
    assert messages[0]["content"] == "< |end|> and < |image_1|>"


def test_the_body_says_what_a_server_would_do_otherwise() -> None:
    question = Turn("user", "So?", (PICTURES[0],))
    body = write_body(
        draft(question, num_crops=4, wants_probabilities=True), PROCESSOR, "phi3v", NOTHING
    )
    assert body["add_special_tokens"] is True
    assert body["stop_token_ids"] == PROCESSOR.stop_token_ids()
    assert body["mm_processor_kwargs"] == {"num_crops": 4}
    assert body["stream_options"] == {"include_usage": True}
    assert body["logprobs"] is True
    assert (body["temperature"], "seed" in body) == (0.0, False)


def test_a_seed_is_sent_with_a_temperature() -> None:
    body = write_body(
        draft(Turn("user", "So?"), sampling=Sampling(9, 0.5, 0.9, 7)), PROCESSOR, "", NOTHING
    )
    assert [body[name] for name in ("max_tokens", "temperature", "top_p", "seed")] == [
        *(9, 0.5, 0.9, 7)
    ]
    assert "mm_processor_kwargs" not in body


def test_a_continued_answer_stays_open() -> None:
    turns = (Turn("user", "So?"), Turn("assistant", "It is"))
    body = write_body(draft(*turns, is_continued=True), PROCESSOR, "", NOTHING)
    assert body["messages"][-1] == {"role": "assistant", "content": "It is"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_fields_that_a_server_refused_are_left_out() -> None:
    body = write_body(draft(Turn("user", "So?")), PROCESSOR, "", frozenset({"stop_token_ids"}))
    assert "stop_token_ids" not in body


def test_a_request_that_does_not_fit_is_refused_here() -> None:
    with pytest.raises(RequestError, match="context holds 2560"):
        draft(Turn("user", "word " * 3000))
