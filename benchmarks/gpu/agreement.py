"""Stage 2: the golden vectors of the published code, and a CPU's answers, on this device."""

import importlib.util
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file

from benchmarks.gpu.asking import prompt_ids
from benchmarks.gpu.context import Context
from benchmarks.gpu.measuring import relative_error
from benchmarks.gpu.report import Row, needs_cuda
from phi3v import Phi3VForCausalLM, Phi3VImageProcessor, Phi3VProcessor, Turn, load
from phi3v.conversation.prompt import render_prompt
from phi3v.model.crops import crop_grid

STAGE = "agreement"
GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
SLOT = 32044  # the id in image slots, in the published tokenizer
EXACT_LIMIT, ROUNDED_LIMIT = 2e-4, 2e-2
DTYPES = {"float32": EXACT_LIMIT, "bfloat16": ROUNDED_LIMIT, "float16": ROUNDED_LIMIT}
NEW_TOKENS = 16
ASKED = (
    ("Hello, who are you?", ""),
    ("Read the text in this image.", "GOLDEN HARVEST"),
    ("What is the title of this book and who wrote it?", "WINTER RIVER\n\nAnna Holm"),
)
Inputs = dict[str, torch.Tensor]


def agreement(context: Context) -> Iterator[Row]:
    """Compare with the golden vectors in float32, then with a CPU in three number formats."""
    torch.set_float32_matmul_precision("highest")  # no TF32
    with tempfile.TemporaryDirectory() as folder:
        yield from check_golden(context, Path(folder))
    yield from check_formats(context)


def check_golden(context: Context, folder: Path) -> Iterator[Row]:
    """Run the tiny model whose outputs the published code computed."""
    weights = load_script("make_weights").make()
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    cases = json.loads((GOLDEN / "model_cases.json").read_text())
    vectors = dict(np.load(GOLDEN / "model.npz"))
    models: dict[str, Phi3VForCausalLM] = {}
    error, wrong = 0.0, []
    for name, case in cases["cases"].items():
        which = case["which"]
        if which not in models:
            models[which] = load_tiny(folder / which, cases, which, tensors, context)
        expected = {k.split("/")[1]: v for k, v in vectors.items() if k.startswith(f"{name}/")}
        found, ids = run_case(models[which], cases, case, expected, context)
        error = max(error, found)
        wrong += [] if ids == case["greedy_ids"] else [name]
    passes = bool(error < EXACT_LIMIT)  # False for NaN too
    yield Row(STAGE, "golden vectors, largest difference", error, "", passes, f"< {EXACT_LIMIT}")
    total = len(cases["cases"])
    equal = f"{total - len(wrong)} of {total} equal"
    yield Row(STAGE, "golden ids", equal, "", not wrong, "all", ", ".join(wrong))


def load_script(name: str) -> ModuleType:
    """Import a script of the golden vectors' folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_tiny(
    folder: Path, cases: dict, which: str, weights: Inputs, context: Context
) -> Phi3VForCausalLM:
    """Write a checkpoint of the published layout, and load it in float32."""
    folder.mkdir()
    config = {**cases["configs"][which], "vision_config": cases["clip_config"]}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = Phi3VForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    return model.to(context.device).eval()


def run_case(
    model: Phi3VForCausalLM, cases: dict, case: dict, expected: dict, context: Context
) -> tuple[float, list[int]]:
    """Return the largest difference from the published code's numbers, and the greedy ids."""
    ids = torch.from_numpy(expected["input_ids"]).long()[None]
    inputs = {"input_ids": torch.where(ids < 0, SLOT, ids)}
    drawn = [load_script("make_images").make(**cases["images"][name]) for name in case["images"]]
    if drawn:
        inputs |= Phi3VImageProcessor()(drawn, num_crops=case["num_crops"])
    inputs = {name: tensor.to(context.device) for name, tensor in inputs.items()}
    with torch.inference_mode():
        output = model(**inputs, output_hidden_states=True)
        generated = model.generate(
            **inputs, max_new_tokens=20, do_sample=False, eos_token_id=None, use_cache=True
        )
    logits = output.logits[0, -1, ::101].cpu().numpy()
    hidden = output.hidden_states[-1][0].cpu().numpy()[expected["rows"]]
    differences = [
        np.abs(logits - expected["logits_last_s101"]).max(),
        np.abs(hidden - expected["hidden_last_rows"]).max(),
    ]
    return float(np.max(differences)), generated[0, -20:].tolist()


def check_formats(context: Context) -> Iterator[Row]:
    """Compare the embedded checkpoint's logits and greedy ids with a CPU's in float32."""
    reference = load(device="cpu", dtype="float32")
    asked = [make_inputs(reference.processor, question, text) for question, text in ASKED]
    expected = [(run_logits(reference.model, i), run_greedy(reference.model, i)) for i in asked]
    for dtype, limit in DTYPES.items():
        if dtype != "bfloat16" and not context.is_cuda:
            yield needs_cuda(STAGE, f"logits and ids, {dtype}")
            continue
        model = load(device=str(context.device), dtype=dtype).model
        errors, equal, is_finite = [], 0, True
        for inputs, (logits, ids) in zip(asked, expected, strict=True):
            found = run_logits(model, inputs)
            is_finite = is_finite and bool(found.isfinite().all())
            errors.append(relative_error(found, logits))
            equal += run_greedy(model, inputs) == ids
        error, total = max(errors), len(asked)
        passes = is_finite and error < limit
        note = "" if is_finite else "some are no numbers"
        yield Row(STAGE, f"logits beside a CPU's, {dtype}", error, "", passes, f"< {limit}", note)
        is_exact = dtype == "float32"
        verdict = equal == total if is_exact else None
        limit_of_ids = "all" if is_exact else ""
        yield Row(STAGE, f"ids, {dtype}", f"{equal} of {total} equal", "", verdict, limit_of_ids)


def make_inputs(processor: Phi3VProcessor, question: str, text: str) -> Inputs:
    """Return the inputs of a question, with a picture of a text unless that is empty."""
    if not text:
        return {"input_ids": torch.tensor([prompt_ids(processor, (Turn("user", question),))])}
    picture = Image.new("RGB", (672, 336), "white")
    font = ImageFont.load_default(size=56)
    ImageDraw.Draw(picture).multiline_text((40, 60), text, font=font, fill="black")
    pixels = processor.image_processor(picture, num_crops=4)
    turns = (Turn("user", question, (picture,)),)
    ids = processor.tokenize(render_prompt(turns, processor), [crop_grid(*picture.size, 4)])
    return {"input_ids": torch.tensor([ids]), **pixels}


def run_logits(model: Phi3VForCausalLM, inputs: Inputs) -> torch.Tensor:
    """Return the prompt's logits, (T, vocabulary), on the CPU in float32."""
    with torch.inference_mode():
        moved = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        return model(**moved).logits[0].float().cpu()


def run_greedy(model: Phi3VForCausalLM, inputs: Inputs) -> list[int]:
    """Return the ids of a greedy answer; on a CPU one thread is fast for so small a model."""
    moved = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ids = model.generate(**moved, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None)
    finally:
        torch.set_num_threads(threads)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()
