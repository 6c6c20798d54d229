"""`python -m benchmarks.servers URL[,URL...] --model CHECKPOINT`: servers against the local engine.

Both have the same checkpoint. First prompts and greedy texts are compared, in float32 by default,
then tokens/s of 1, 4, 8 and 16 users at once, in turns. A vLLM server tells its prompts' ids by
/tokenize, and they are compared too.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median

import httpx
from PIL import Image

from benchmarks.__main__ import describe_machine, draw_noise, parse_size
from phi3v import Engine, Request, Sampling, Turn, load
from phi3v.conversation.prompt import build_prompt
from phi3v.inference.checkpoint_files import find_processor_files
from phi3v.model.crops import crop_grid
from phi3v.remote import RemoteEngine
from phi3v.remote.drafting import CROPS, draft_request, write_body
from phi3v.settings import Settings

USERS = (1, 4, 8, 16)


@dataclass(frozen=True)
class Answered:
    """An answer's text, and its numbers of prompt and new tokens."""

    text: str
    prompt_tokens: int
    new_tokens: int


def make_cases(image: Image.Image) -> dict[str, tuple[Turn, ...]]:
    """Return conversations with one picture, with two, and with two over two turns."""
    other = image.transpose(Image.Transpose.ROTATE_180)
    first = Turn("user", "Describe this image.", (image,))
    return {
        "one picture": (first,),
        "two pictures": (Turn("user", "What is different?", (image, other)),),
        "two turns": (first, Turn("assistant", "Noise."), Turn("user", "And this?", (other,))),
    }


def answer(engine: Engine | RemoteEngine, request: Request) -> Answered:
    """Return an engine's answer."""
    text, statistics = "", None
    for chunk in engine.stream(request):
        text, statistics = text + chunk.text, chunk.statistics
    assert statistics is not None, "a stream ends with its statistics"
    return Answered(text, statistics.prompt_tokens, statistics.new_tokens)


def compare_ids(local: Engine, remote: RemoteEngine, request: Request) -> str:
    """Return whether the server's prompt ids are the local ones, as far as it tells them."""
    prompt = build_prompt(request, local.processor, local.context_length)
    grids = [crop_grid(*image.size, prompt.num_crops) for image in prompt.images]
    expected = local.processor.tokenize(prompt.text, grids)
    server = remote.pool.available[0]
    body = write_body(
        draft_request(request, remote.processor, remote.context_length),
        remote.processor,
        server.model,
        frozenset(),
    )
    wanted = ("model", "messages", "add_special_tokens", CROPS)
    response = httpx.post(
        f"{server.url}/tokenize", json={name: body[name] for name in wanted if name in body}
    )
    if response.status_code != 200:
        return "not told"
    return "equal" if response.json()["tokens"] == expected else "DIFFERENT"


def measure_users(engine: Engine | RemoteEngine, requests: list[Request]) -> float:
    """Return tokens/s of so many users together, until the last has its answer."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(partial(answer, engine), requests))
    return sum(one.new_tokens for one in answers) / (time.perf_counter() - began)


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers", description=__doc__)
    parser.add_argument("servers", metavar="URL[,URL...]")
    parser.add_argument("--model", required=True, help="the checkpoint that the servers serve")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--size", default="640x480", help="the picture's width x height")
    parser.add_argument("--num-crops", type=int, default=1)
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Compare, measure and print."""
    options = parse_options()
    settings = Settings(server=options.servers)
    remote = RemoteEngine(settings.servers, options.model, find_processor_files)
    local = load(options.model, options.device, options.dtype)
    remote.wait_until_asked()
    print(f"{describe_machine(local.device)}; {remote.device}: {remote.status}\n")
    size = parse_size(options.size)
    sampling = Sampling(options.new_tokens)
    print("| case | prompt ids | prompt tokens | greedy text |\n|---|---|---|---|")
    for name, turns in make_cases(draw_noise(size, 0)).items():
        request = Request(turns, sampling, options.num_crops, ends_loops=False)
        here, there = answer(local, request), answer(remote, request)
        counts = f"{here.prompt_tokens}, {there.prompt_tokens}"
        text = "equal" if here.text == there.text else "DIFFERENT"
        print(f"| {name} | {compare_ids(local, remote, request)} | {counts} | {text} |")
    print("\n| users | local tokens/s | remote tokens/s | ratio |\n|---|---|---|---|")
    seed = 1
    for users in USERS:
        rates = []
        for _ in range(options.runs):
            # Each user's own picture: none is cached yet, here or there.
            cases = [make_cases(draw_noise(size, seed + user)) for user in range(users)]
            seed += users
            requests = [
                Request(case["one picture"], sampling, options.num_crops, ends_loops=False)
                for case in cases
            ]
            rates.append((measure_users(local, requests), measure_users(remote, requests)))
        here, there = map(median, zip(*rates, strict=True))
        print(f"| {users} | {here:.1f} | {there:.1f} | {there / here:.2f} |")
    remote.close()


if __name__ == "__main__":
    main()
