"""Training of a model small enough for seconds, and the committed checkpoint."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from support.small_training import ANSWERS, CONFIG, TOWER, needs_fonts

from phi3v.model import Phi3VForCausalLM, Phi3VProcessor
from training import beyond, chart, compare, cover, describe, objects, shapes, table, text
from training.batches import Pages, Questions
from training.canvas import Dice, Picture
from training.export import ASSETS, export
from training.journal import append_row, draw_curve, read_rows
from training.layouts import (
    FOUR,
    FOUR_STRIP,
    NINE,
    PANORAMA,
    SINGLE,
    SIX_TALL,
    SIX_WIDE,
    SLOT_COLUMNS,
    choose_strip,
    cut_frames,
    name_cells,
    view_picture,
)
from training.losses import Trainee
from training.prompts import IMAGE_SLOT, PromptEncoder
from training.settings import load_config
from training.stages import Training
from training.tokenizer import IGNORED
from training.words import garble

MAKERS = (
    *(text.make_sample, shapes.make_sample, describe.make_sample, cover.make_sample),
    *(objects.make_sample, chart.make_sample, table.make_table, table.make_receipt),
    partial(text.make_lines, low=24, high=56),
)


@needs_fonts
@pytest.mark.parametrize("make", [*MAKERS, compare.make_sample, beyond.make_sample])
def test_a_sample_depends_on_its_seed_only(make):
    one, other = (make(random.Random("5:7")) for _ in range(2))
    assert one.answer == other.answer
    for a, b in zip(one.pictures, other.pictures, strict=True):
        assert a.image.tobytes() == b.image.tobytes()
        assert a.marks == b.marks


@needs_fonts
@pytest.mark.parametrize("make", [*MAKERS, compare.make_sample])
def test_every_mark_of_a_sample_lies_on_its_picture(make):
    for index in range(5):
        for picture in make(random.Random(f"1:{index}")).pictures:
            assert picture.marks
            for mark in picture.marks:
                assert -2 <= mark.x <= picture.image.width + 2
                assert -2 <= mark.y <= picture.image.height + 2


@needs_fonts
def test_a_batch_of_pages_does_not_depend_on_those_before_it():
    pages = Pages(1, 4, 3, 6, {"page": 1.0})
    later = pages[2].pixels
    assert torch.equal(Pages(1, 4, 3, 6, {"page": 1.0})[2].pixels, later)
    assert not torch.equal(pages[1].pixels, later)


@pytest.mark.parametrize(
    ("size", "layout"),
    [
        *(((640, 480), SINGLE), ((300, 500), SINGLE), ((401, 277), FOUR)),
        *(((800, 600), FOUR), ((900, 280), PANORAMA), ((800, 600), NINE)),
        *(((1000, 600), SIX_WIDE), ((1000, 400), SIX_WIDE), ((400, 700), SIX_TALL)),
    ],
)
def test_frames_equal_the_image_processor_s_crops(size, layout):
    from PIL import Image

    from phi3v.model import Phi3VImageProcessor

    noise = random.Random(0).randbytes(size[0] * size[1] * 3)
    image = Image.frombytes("RGB", size, noise)
    *subs, whole = cut_frames(view_picture(Picture(image, ()), layout.num_crops), layout)
    processor = Phi3VImageProcessor(num_crops=layout.num_crops)
    crops = processor([image])["pixel_values"][0].permute(0, 2, 3, 1)
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    for (pixels, _, _), crop in zip(subs or [whole], crops[1 : 1 + max(1, len(subs))], strict=True):
        assert torch.equal((torch.from_numpy(pixels.copy()) / 255 - mean) / std, crop)
    if subs:  # the training's global crop is rounded to bytes
        byte = torch.from_numpy(whole[0].copy()) / 255
        inside = ((crops[0] * std + mean).clamp(0, 1) - byte).abs()
        assert inside.max() < 0.6 / 255


def test_neighbouring_marks_of_a_cell_are_in_different_slots():
    marks = np.array([(29, 5, 0), (36, 5, 1), (29, 20, 2)])
    names = name_cells(marks, 0, 0, 1, 2)
    assert not names[0].any()
    cell, slots, which = names[1:].nonzero()
    assert (slots.tolist(), which.tolist()) == ([0, 1, SLOT_COLUMNS], [0, 1, 2])
    assert cell.tolist() == [0, 0, 0]


def test_garbled_words_have_the_same_letters_or_one_more_or_less():
    rng = random.Random(2)
    words = {garble(rng, "rabbit") for _ in range(60)}
    assert {"rabit", "rrabbit", "rabibt"} <= words
    assert "rabbit" not in words
    letters = {"".join(sorted(set(word))) for word in words}
    assert letters == {"abirt"}


@needs_fonts
def test_a_strip_holds_every_mark_of_its_picture():
    found = 0
    for index in range(30):
        rng = Dice(f"3:{index}", 0.2)
        rng.crops_across = 2
        (picture,) = text.make_word(rng).pictures
        if not FOUR.fits((picture,)):
            continue
        top = choose_strip(rng, (picture,), FOUR_STRIP)
        if top is None:
            continue
        found += 1
        frames = cut_frames(view_picture(picture, 4), FOUR_STRIP, top)
        assert len(frames) == FOUR_STRIP.frames
        *subs, whole = [names.any(1).sum(0) for _, _, names in frames]
        everywhere = cut_frames(view_picture(picture, 4), FOUR)
        assert (sum(subs) == sum(names.any(1).sum(0) for _, _, names in everywhere[:-1])).all()
        assert (whole == everywhere[-1][2].any(1).sum(0)).all()
    assert found > 5


@pytest.mark.parametrize(
    "written",
    [
        "A red circle.",
        "HELLO\nred world",
        "  two  spaces",
        "é “quoted” €5",
        "Ünïcode 漢字",
        "reddish",
    ],
)
def test_text_survives_a_round_trip_through_the_tokenizer(tokenizer, written):
    ids = tokenizer(written, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == written


def test_only_names_and_wording_are_whole_tokens(tokenizer):
    def cut(written: str) -> list[str]:
        return tokenizer.convert_ids_to_tokens(tokenizer(written).input_ids)

    assert cut("a red dog") == ["<s>", "▁", "a", "▁red", "▁", "d", "o", "g"]
    assert cut("reds") == ["<s>", "▁", "r", "e", "d", "s"]
    assert cut("<|assistant|>\nA") == ["<s>", "<|assistant|>", "▁", "A"]


@needs_fonts
def test_prompts_are_encoded_as_the_processor_does(tokenizer, tmp_path):
    sample = compare.make_sample(random.Random(1))
    sample = replace(sample, more=(("And now?", "No."),))
    encoded = PromptEncoder(tokenizer).encode(sample)
    ids, labels = encoded.ids, encoded.labels
    image_token = tokenizer.convert_tokens_to_ids("<|image|>")
    from phi3v.model import Phi3VImageProcessor

    processor = Phi3VProcessor(Phi3VImageProcessor(num_crops=1), tokenizer)
    written = (
        f"<|user|>\n<|image_1|>\n<|image_2|>\n{sample.question}<|end|>\n"
        f"<|assistant|>\n{sample.answer}<|end|>\n<|user|>\nAnd now?<|end|>\n"
        "<|assistant|>\nNo.<|end|>\n"
    )
    expected = processor(written, [p.image for p in sample.pictures])["input_ids"][0].tolist()
    assert [image_token if i == IMAGE_SLOT else i for i in ids] == expected
    assert ids.count(IMAGE_SLOT) == 2 * SINGLE.image_tokens
    answered = tokenizer.decode([label for label in labels if label != IGNORED])
    assert answered.replace(" ", "") == f"{sample.answer}<|end|>No.<|end|>".replace(" ", "")


@needs_fonts
@pytest.mark.parametrize("stage", [TOWER, ANSWERS])
def test_a_few_steps_of_a_stage_lower_its_loss(tmp_path, stage):
    training = Training(replace(CONFIG, stages=(stage,)), tmp_path, "cpu", compiled=False)
    training.prepare(stage)
    if stage.kind == "tower":
        batch = Pages(1, 1, 4, 6, stage.tasks)[0]
    else:
        batch = Questions(1, stage, training.tokenizer)[0]
    losses = [training.take_step(replace(stage, steps=99), batch)["loss"].item() for _ in range(8)]
    assert losses[-1] < losses[0]


@needs_fonts
def test_a_stopped_run_resumes_where_it_was_saved(tmp_path):
    whole = Training(CONFIG, tmp_path / "whole", "cpu", compiled=False)
    whole.run(workers=0)
    part = Training(CONFIG, tmp_path / "part", "cpu", compiled=False)
    take_step = part.take_step

    def take_step_until_third(stage, batch):
        if stage.kind == "answers" and part.step == 2:
            part.stop()
        return take_step(stage, batch)

    part.take_step = take_step_until_third
    with pytest.raises(SystemExit):
        part.run(workers=0)
    resumed = Training(CONFIG, tmp_path / "part", "cpu", compiled=False)
    assert (resumed.stage_index, resumed.step) == (1, 3)
    resumed.run(workers=0)
    for one, other in zip(whole.trainee.parameters(), resumed.trainee.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@needs_fonts
@pytest.mark.parametrize("layout", [SINGLE, FOUR, NINE])
def test_the_exported_model_gives_the_training_model_s_logits(tmp_path, layout):
    training = Training(CONFIG, tmp_path / "run", "cpu", compiled=False)
    network = training.trainee.network
    network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    export(training, tmp_path / "out")
    model = Phi3VForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    processor = Phi3VProcessor.from_pretrained(tmp_path / "out")
    make = compare.make_sample if layout == SINGLE else shapes.make_sample
    rng = Dice("2", 0.0)
    rng.grid = (layout.rows, layout.columns)
    (sample,), _ = Questions(1, ANSWERS, training.tokenizer).draw(
        rng, {make.__module__.split(".")[-1]: 1.0}, layout, 1
    )
    tags = "".join(f"<|image_{number + 1}|>\n" for number in range(len(sample.pictures)))
    question = f"<|user|>\n{tags}{sample.question}<|end|>\n<|assistant|>\n"
    images = [picture.image for picture in sample.pictures]
    inputs = processor(question, images, num_crops=layout.num_crops)
    with torch.no_grad():
        expected = model(**inputs).logits[0, -1]
        batch = Questions(1, ANSWERS, training.tokenizer).collate([sample], layout, [0])
        trainee: Trainee = training.trainee
        cells = trainee.encode(batch.frames)
        tokens, _ = trainee.network.images.project_pictures(
            cells, layout.columns, layout.sub_frames
        )
        encoded = PromptEncoder(training.tokenizer).encode(sample, layout.image_tokens)
        begin = next(i for i, label in enumerate(encoded.labels) if label != IGNORED)
        prompt = encoded.ids[: begin + 1]
        embeds = trainee.network.model.embed_tokens(torch.tensor([prompt]).clamp(min=0))
        slots = torch.tensor([prompt]) == IMAGE_SLOT
        embeds = embeds.masked_scatter(slots[:, :, None], tokens)
        hidden = trainee.network.decode(embeds)[0][0, -1]
        logits = hidden @ trainee.network.model.embed_tokens.weight.T
    # The training's global crop is rounded to bytes when it is not the sub-crop itself.
    assert torch.allclose(logits, expected, atol=1e-3 if layout == SINGLE else 1e-2)


def test_the_committed_settings_load():
    config = load_config()
    assert [stage.kind for stage in config.stages][-1] == "answers"


def test_the_committed_checkpoint_is_small_and_without_pickles():
    names = {path.name for path in ASSETS.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 24e6


def test_the_log_of_a_run_is_plotted(tmp_path):
    log = tmp_path / "log.csv"
    for step in (20, 40):
        append_row(log, "tower", step, {"seconds": 0.5, "waited": 0.1, "loss": 2.0, "f1": 0.2})
    append_row(log, "answers", 20, {"seconds": 0.5, "waited": 0.1, "loss": 1.0, "right": 0.8})
    draw_curve(log, tmp_path / "curve.png")
    assert [row["right"] for row in read_rows(log)] == ["", "", "0.8000"]
    assert Image.open(tmp_path / "curve.png").width > 500
