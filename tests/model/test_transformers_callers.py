"""What calls a processor by transformers' conventions: pipelines, `transformers serve`, TRL."""

import base64
import logging
import socket
import time

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from phi3v import Engine, Phi3VForCausalLM, Request, Turn
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER
from phi3v.tasks import EXAMPLES

QUESTION = "What does the picture show?"
CIRCLE = EXAMPLES / "circle.png"


@pytest.fixture(scope="module")
def processor():
    return AutoProcessor.from_pretrained(EMBEDDED_FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForImageTextToText.from_pretrained(EMBEDDED_FOLDER, dtype="float32").eval()


@pytest.fixture(scope="module")
def answer(model, processor) -> str:
    """The app's own answer at one crop, the processor's default here."""
    turns = (Turn("user", QUESTION, (Image.open(CIRCLE),)),)
    engine = Engine(model, processor, name="embedded")
    return "".join(chunk.text for chunk in engine.stream(Request(turns, num_crops=1)))


def ask(image) -> list[dict]:
    picture = {"type": "image", "image": image}
    return [{"role": "user", "content": [picture, {"type": "text", "text": QUESTION}]}]


@pytest.fixture(scope="module")
def pipe(model, processor):
    return pipeline("image-text-to-text", model=model, processor=processor)


def test_the_pipeline_answers_messages_as_the_app_does(pipe, answer):
    (output,) = pipe(text=ask(str(CIRCLE)), max_new_tokens=60, return_full_text=False)
    assert output["generated_text"].strip() == answer


def test_the_pipeline_answers_several_chats_in_a_batch(pipe, answer):
    chats = [ask(Image.open(CIRCLE)), ask(str(CIRCLE))]
    outputs = pipe(text=chats, max_new_tokens=60, return_full_text=False, batch_size=2)
    assert [output["generated_text"].strip() for (output,) in outputs] == [answer, answer]


def test_the_pipeline_answers_a_prompt_beside_its_image(pipe, answer):
    prompt = f"<|user|>\n<|image_1|>\n{QUESTION}<|end|>\n<|assistant|>\n"
    (output,) = pipe(images=str(CIRCLE), text=prompt, max_new_tokens=60, return_full_text=False)
    assert output["generated_text"].strip() == answer


@pytest.fixture
def server(monkeypatch):
    """`transformers serve` in this process, started as docs/usage.md's launcher does."""
    pytest.importorskip("openai", reason="transformers serve needs openai")
    serve = pytest.importorskip("transformers.cli.serve")
    manager = pytest.importorskip("transformers.cli.serving.model_manager")
    name, classes = "Phi3VForCausalLM", manager.transformers
    monkeypatch.setattr(classes, name, Phi3VForCausalLM, raising=False)
    monkeypatch.setitem(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, "phi3_v", name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"device": "cpu", "dtype": "float32", "host": "127.0.0.1", "port": port}
    level = logging.getLogger("transformers").level
    served = serve.Serve(force_model=str(EMBEDDED_FOLDER), non_blocking=True, **options)
    while not served.server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1"
    served.kill_server()
    logging.getLogger("transformers").setLevel(level)


def test_transformers_serve_streams_the_app_s_answer_to_the_openai_client(server, answer):
    openai = pytest.importorskip("openai")
    address = "data:image/png;base64," + base64.b64encode(CIRCLE.read_bytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": address}}
    content = [picture, {"type": "text", "text": QUESTION}]
    with openai.OpenAI(base_url=server, api_key="none") as client:
        stream = client.chat.completions.create(
            model=str(EMBEDDED_FOLDER),
            messages=[{"role": "user", "content": content}],
            stream=True,
            temperature=0,
            max_tokens=60,
        )
        pieces = [choice.delta.content or "" for chunk in stream for choice in chunk.choices]
    assert "".join(pieces) == answer
    assert len([piece for piece in pieces if piece]) > 3


def test_trl_s_collator_makes_a_batch_that_trains(model, processor):
    trainer = pytest.importorskip("trl.trainer.sft_trainer", reason="needs trl")
    collator = trainer.DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)
    examples = []
    for text in ("A red circle.", "Red."):
        messages = ask(Image.open(CIRCLE))
        messages[0]["content"] = QUESTION  # the collator puts the image in
        messages.append({"role": "assistant", "content": text})
        examples.append({"messages": messages, "images": [Image.open(CIRCLE)]})
    batch = collator(examples)
    labels = batch["labels"]
    texts = processor.batch_decode([row[row != -100] for row in labels])
    assert texts == ["A red circle.<|end|>", "Red.<|end|>"]
    with torch.no_grad():
        assert model(**batch).loss.isfinite()
