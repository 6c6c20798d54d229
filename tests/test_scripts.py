"""The three scripts of the tutorials, unchanged but for the checkpoint's name and the pictures."""

import pytest
from PIL import Image
from transformers import AutoModelForCausalLM, AutoProcessor

import phi3v  # noqa: F401
from phi3v.checkpoint import EMBEDDED_FOLDER
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


def test_a_chart_is_introduced(model, processor):
    question = "Could you please introduce this stock to me?"
    prompt = f"<|user|>\n<|image_1|>\n{question}<|end|>\n<|assistant|>\n"
    response = run_script(model, processor, prompt, Image.open(EXAMPLES / "revenue.png"))
    assert response.strip()


def test_a_book_s_title_and_author_are_read(model, processor):
    question = "Help me get the title and author information of this book?"
    prompt = f"<|user|>\n<|image_1|>\n{question}<|end|>\n<|assistant|>\n"
    response = run_script(model, processor, prompt, Image.open(EXAMPLES / "book.png"))
    assert "Morgan Maxwell" in response
    assert "ALONE" in response


def test_the_difference_between_two_pictures_is_named(model, processor):
    question = "What is difference in this two images?"
    prompt = f"<|user|>\n<|image_1|>\n<|image_2|>\n{question}<|end|>\n<|assistant|>\n"
    images = [Image.open(EXAMPLES / f"shop-{state}.png") for state in ("open", "closed")]
    response = run_script(model, processor, prompt, images)
    assert "OPEN" in response
    assert "CLOSED" in response
