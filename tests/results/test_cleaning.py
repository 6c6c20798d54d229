"""Commentary is removed; the image's own text never is."""

import pytest

from phi3v.results.cleaning import clean_answer, is_refusal

COMMENTED = [
    "The text in the image is: {}",
    "The text in the image reads as follows:\n\n{}",
    "The text on the sign says: {}",
    'The text in this picture reads "{}".',
    'The image says "{}" in white letters.',
    "The extracted text from the image is:\n{}",
    "All the text visible in the image is: {}",
    "Here is the text from the image:\n\n{}",
    "Here's the transcription:\n{}",
    "Sure! Here is the transcribed text:\n\n{}",
    "Certainly, here is the full text of the document:\n{}",
    "Here is the text in the image:\n```\n{}\n```",
    "```\n{}\n```",
    "```markdown\n{}\n```\n",
    "```text\n{}",
    "The picture contains the following text:\n\n{}",
    "**Transcribed text:**\n\n{}",
    "OCR result: {}",
    "Here is the table from the image in Markdown format:\n\n{}",
    "Here is the information in JSON format:\n```json\n{}\n```\nLet me know if you need more!",
    "  {}\n",
    'The text "{}" on a white background.',
    'The text "{}" on an orange background.\n',
    'The text "{}',
]
GENUINE = [
    "The text of the law is published on Friday.",
    "The text in the image is copyrighted.",
    'The text "Congress" was added on a white background.',
    "Here is the menu:\nsoup 3.00",
    "Here is the news",
    "Here we go: 1, 2, 3",
    "Here is the information you asked for.",
    "Sure: it is.",
    "Transcription:\nJUDGE: Order!",
    "The document is as follows:",
    "The page says: closed",
    "Content of this page:\n1. Intro",
    "THE IMAGE OF THE CITY",
    '"Quoted," she said.',
    '"STOP"',
    "Image: 4 x 6",
    "A `tick` and ```three``` of them",
    "first\n```\ncode\n```",
    "```\na\n```\nand\n```\nb\n```",
    "Note: wet paint",
    "There is no smoking in this picture house.",
    "I'm sorry, but I cannot come to the party.",
    "No text messages while driving",
    "This is beyond the small garden.",
    "This image is copyrighted.\nNo text may be copied.",
]
REFUSALS = [
    "There is no text in this picture.",
    "There is no visible text in the image provided.",
    "There's no readable text on this sign.",
    "The image does not contain any text.",
    "This photo doesn't show any legible writing.",
    "The picture is empty.",
    "The image contains no visible text; it shows a cat on a sofa.",
    "I'm sorry, but I cannot read the text in this image because it is too blurry.",
    "Sorry, I can't see any text.",
    "No text found.",
    "No readable text is visible in the image.",
    "This is beyond the small embedded checkpoint; start the app with --model microsoft/Phi-3.5.",
]


@pytest.mark.parametrize("form", COMMENTED)
@pytest.mark.parametrize("text", ["STOP", "first line\nsecond: line", "| a | b |\n|---|---|"])
def test_a_known_introduction_is_removed(form: str, text: str) -> None:
    assert clean_answer(form.format(text)) == text


@pytest.mark.parametrize("text", GENUINE)
def test_the_images_own_text_is_kept(text: str) -> None:
    assert clean_answer(text) == text


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_detected_and_not_shown_while_it_streams(text: str) -> None:
    assert is_refusal(text)
    assert is_refusal(f" {text}\n")
    assert not is_refusal(f"{text}\nRoom 17")
    shown = [clean_answer(text[:end], is_whole=False) for end in range(len(text) + 1)]
    assert set(shown) == {""}


@pytest.mark.parametrize("text", GENUINE)
def test_the_images_own_text_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_only_the_beginning_is_cleaned() -> None:
    text = "Chapter 1\nThe text in the image is: wrong"
    assert clean_answer(text) == text


def test_several_quotations_are_kept() -> None:
    text = 'The text in the image says "A" and "B".'
    assert clean_answer(text) == text


@pytest.mark.parametrize("form", COMMENTED)
def test_no_introduction_is_shown_while_an_answer_streams(form: str) -> None:
    answer = form.format("wet paint")
    shown = [clean_answer(answer[:end], is_whole=False) for end in range(len(answer))]
    commented = [text for text in shown if not "wet paint".startswith(text.rstrip("`\n"))]
    # commentary after the transcription is recognized only at the end of the answer
    assert all(text.startswith("wet paint") for text in commented)


@pytest.mark.parametrize("text", GENUINE)
def test_genuine_text_is_shown_at_the_latest_at_its_end(text: str) -> None:
    shown = [clean_answer(text[:end], is_whole=False) for end in range(len(text) + 1)]
    assert all(text.startswith(piece) or "`" in text for piece in shown)
    assert clean_answer(text) == text
