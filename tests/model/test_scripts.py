"""The tutorials' three scripts, changed only in the checkpoint's name and the pictures."""

import pytest
from PIL import Image
from transformers import AutoModelForCausalLM, AutoProcessor

import phi3v  # noqa: F401
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import EXAMPLES

MODEL_ID = str(EMBEDDED_FOLDER)


@pytest.fixture(scope="module")
def processor():
    return AutoProcessor.from_pretrained(MODEL_ID, trust_remote_code=True)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(
        MODEL_ID, trust_remote_code=True, torch_dtype="auto"
    )


def run_script(model, processor, prompt, images) -> str:
    inputs = processor(prompt, images, return_tensors="pt").to(model.device)
    generate_ids = model.generate(
        **inputs, max_new_tokens=1000, eos_token_id=processor.tokenizer.eos_token_id
    )
    generate_ids = generate_ids[:, inputs["input_ids"].shape[1] :]
    return processor.batch_decode(
        generate_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )[0]


SCRIPTS = {  # question: its pictures
    "Could you please introduce this stock to me?": ["revenue.png"],
    "Help me get the title and author information of this book?": ["book.png"],
    "What is difference in this two images?": ["shop-open.png", "shop-closed.png"],
}
CHART, BOOK, DIFFERENCE = SCRIPTS


def run_tutorial(model, processor, question) -> str:
    images = [Image.open(EXAMPLES / name) for name in SCRIPTS[question]]
    tags = "".join(f"<|image_{number}|>\n" for number in range(1, len(images) + 1))
    prompt = f"<|user|>\n{tags}{question}<|end|>\n<|assistant|>\n"
    return run_script(model, processor, prompt, images[0] if len(images) == 1 else images)


@pytest.mark.parametrize("question", SCRIPTS)
def test_a_tutorial_s_script_gives_an_answer(model, processor, question):
    assert run_tutorial(model, processor, question).strip()


def test_a_book_s_title_and_author_are_read(model, processor):
    response = run_tutorial(model, processor, BOOK)
    assert "Morgan Maxwell" in response
    assert "ALONE" in response


def test_the_difference_between_two_pictures_is_named(model, processor):
    response = run_tutorial(model, processor, DIFFERENCE)
    assert "OPEN" in response
    assert "CLOSED" in response
