"""`python -m benchmarks.quantized`: 8-bit and 4-bit weights on a CPU beside bfloat16 and float32.

Speed: random weights of the published sizes, where each decoder layer is a copy of the first; the
ways alternate in one process. Agreement: the embedded checkpoint answers about its examples in
bfloat16, and each way is asked for the probabilities of that answer's tokens.
"""

import argparse
import copy
import statistics
import time
from collections import defaultdict

import torch
from PIL import Image
from torch import nn
from transformers.cache_utils import Cache

from benchmarks.__main__ import describe_machine, draw_noise
from benchmarks.decoding import generate
from benchmarks.models import build_real_shape
from phi3v import Engine, load
from phi3v.conversation.prompt import build_prompt
from phi3v.inference.quantization import choose_backend
from phi3v.inference.quantized_linear import Backend, build_linear, convert_weight
from phi3v.model.crops import crop_grid
from phi3v.model.decoding import GrowingCache
from phi3v.request import Request, Sampling, Turn
from phi3v.tasks import EXAMPLES

WAYS = ("4bit bitsandbytes", "4bit onnxruntime", "8bit onnxruntime")
CPU = torch.device("cpu")
QUESTION = "Read the text in this image."
MATRICES = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")


def quantize_layers(layers: nn.ModuleList, quantize: str, backend: Backend) -> nn.ModuleList:
    """Return copies of equal decoder layers, whose linear layers hold quantized weights."""
    first = layers[0]
    converted = {}
    for name in MATRICES:
        weight = first.get_submodule(name).weight.data
        converted[name] = convert_weight(weight, quantize, backend), weight.shape[1]
    copies = []
    for layer in layers:
        parts = {"self_attn": copy.copy(layer.self_attn), "mlp": copy.copy(layer.mlp)}
        quantized = copy.copy(layer)
        quantized._modules = {**layer._modules, **parts}
        for name in MATRICES:
            parent, attribute = name.split(".")
            tensors, in_features = converted[name]
            own = {key: tensor.clone() for key, tensor in tensors.items()}
            part = parts[parent]
            part._modules = {**part._modules, attribute: build_linear(own, in_features, backend)}
        copies.append(quantized)
    return nn.ModuleList(copies)


def read_answer(engine: Engine, image: Image.Image | str, question: str, count: int):
    """Return a greedy answer's token ids, the prompt's, and the images' features."""
    request = Request((Turn("user", question, (image,)),), Sampling(max_new_tokens=count))
    chunks = list(engine.stream(request))
    prompt = build_prompt(request, engine.processor, engine.context_length)
    grids = [crop_grid(*picture.size, prompt.num_crops) for picture in prompt.images]
    pixels = engine.processor.image_processor(list(prompt.images), num_crops=prompt.num_crops)
    ids = engine.processor.tokenize(prompt.text, grids)
    return [token.id for token in chunks[-1].tokens], ids, pixels


def score(engine: Engine, answer: list[int], ids: list[int], pixels: dict) -> torch.Tensor:
    """Return the log-probabilities (answer's tokens, vocabulary) that a model gives after them."""
    with torch.inference_mode():
        logits = engine.model(
            input_ids=torch.tensor([ids + answer]), use_cache=False, **pixels
        ).logits[0, len(ids) - 1 : -1]
    return logits.float().log_softmax(-1)


def measure_agreement(count: int) -> None:
    """Print how often the embedded checkpoint's most probable token stays, and the difference."""
    plain = load("embedded", "cpu", "bfloat16")
    cases = [
        read_answer(plain, str(file), QUESTION, count) for file in sorted(EXAMPLES.glob("*.png"))
    ]
    expected = [score(plain, *case) for case in cases]
    total = sum(len(case[0]) for case in cases)
    print(f"\nEmbedded checkpoint, {len(cases)} answers, {total} tokens:\n")
    print("| weights | same greedy token | mean difference of log-probability |\n|---|---|---|")
    for way in ("float32", *WAYS):
        quantize, _, backend = way.partition(" ")
        engine = (
            load("embedded", "cpu", quantize)
            if not backend
            else load("embedded", "cpu", "bfloat16", quantize=quantize, backend=backend)
        )
        same, difference = 0, 0.0
        for case, reference in zip(cases, expected, strict=True):
            scores, tokens = score(engine, *case), torch.tensor(case[0])[:, None]
            same += int((scores.argmax(-1) == reference.argmax(-1)).sum())
            change = scores.gather(1, tokens) - reference.gather(1, tokens)
            difference += float(change.abs().sum())
        print(f"| {way} | {same / total:.1%} | {difference / total:.4f} |")


def time_first_token(engine: Engine, image: Image.Image, num_crops: int) -> float:
    """Return the seconds to the first token about an image that no cache holds."""
    request = Request((Turn("user", "What is this?", (image,)),), Sampling(1), num_crops)
    *_, last = engine.stream(request)
    assert last.statistics is not None
    return last.statistics.prompt_time


def measure_speed(options: argparse.Namespace) -> None:
    """Print tokens/s and the time to the first token of each way."""
    engine = build_real_shape(options.layers, CPU, torch.bfloat16)
    model = engine.model.model
    with torch.inference_mode():
        for layer in model.layers[1:]:
            layer.load_state_dict(model.layers[0].state_dict())
    ways = {"bfloat16": model.layers}
    for way in options.ways:
        quantize, _, backend = way.partition(" ")
        chosen: Backend = choose_backend(quantize, backend or "auto")[0]
        ways[way] = quantize_layers(model.layers, quantize, chosen)
    seconds, first = defaultdict(list), defaultdict(list)
    for run in range(options.runs):
        image = draw_noise((640, 480), run)
        for way, layers in ways.items():
            model.layers = layers
            engine.clear_caches()
            with torch.inference_mode():
                cache: Cache = GrowingCache()
                token, _ = generate(engine.model, cache, "sdpa", 64, options.new_tokens)
            seconds[way].append(token)
            if run < options.pictures:
                first[way].append(time_first_token(engine, image, options.num_crops))
    print(f"\n{options.layers} decoder layers, random weights, best of {options.runs}:\n")
    print("| weights | tokens/s | of bfloat16 | first token (s) |\n|---|---|---|---|")
    for way in ways:
        best, plain = min(seconds[way]), min(seconds["bfloat16"])
        prompt = f"{min(first[way]):.1f}" if first[way] else ""
        print(f"| {way} | {1 / best:.1f} | {plain / best:.2f} x | {prompt} |")
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    print("\nMedians, tokens/s: " + ", ".join(f"{w} {1 / m:.1f}" for w, m in medians.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized", description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=7)
    parser.add_argument("--num-crops", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=2, help="runs that ask about a picture")
    parser.add_argument("--agreement", action="store_true", help="only that, of 48 tokens each")
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"{describe_machine(CPU)}, {torch.get_num_threads()} threads")
    if options.agreement:
        measure_agreement(48)
    else:
        measure_speed(options)
    print(f"\nTook {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
