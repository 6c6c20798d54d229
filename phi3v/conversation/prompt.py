"""Renders a conversation into the processor's input, with as many crops as fit the context.

Knows the chat format and the numbering of images over all turns; must not run the model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from phi3v.conversation.detokenizer import IncrementalDetokenizer
from phi3v.conversation.engine_protocol import PromptProcessor
from phi3v.documents.request_limits import measure_pictures
from phi3v.model.crops import CROP_SIZE
from phi3v.request import Request, RequestError, Turn


@dataclass(frozen=True)
class Prompt:
    """A conversation ready for the processor, with its size in tokens.

    sizes are the (width, height) of its images, which are measured and not opened. image_tokens
    are the part of prompt_tokens in image slots. answer_ids are the tokens of an answer that is
    continued; they follow the text and count among prompt_tokens.
    """

    text: str
    sizes: tuple[tuple[int, int], ...]
    num_crops: int
    prompt_tokens: int
    image_tokens: int
    answer_ids: tuple[int, ...] = ()


def build_prompt(request: Request, processor: PromptProcessor, context_length: int) -> Prompt:
    """Render a request and choose its num_crops so that prompt and answer fit the context.

    Raises RequestError where there is nothing to answer, the images exceed a limit or cannot be
    measured or cut, or prompt and max_new_tokens together exceed context_length tokens.
    """
    answer = request.turns[-1] if request.is_continued and request.turns else None
    turns = request.turns[:-1] if answer else request.turns
    check_turns(turns)
    sizes = measure_pictures([image for turn in turns for image in turn.images])
    text = render_prompt(turns, processor)
    answer_ids = find_answer_ids(answer, processor) if answer else ()
    if answer and not answer_ids:
        text += disarm_markup(answer.text, processor)
    room = context_length - request.sampling.max_new_tokens
    for num_crops in crop_choices(request.num_crops, sizes, processor):
        try:
            text_tokens, image_tokens = processor.count_tokens(text, list(sizes), num_crops)
        except ValueError as error:
            raise explain_shape(sizes, num_crops) from error
        prompt_tokens = text_tokens + image_tokens + len(answer_ids)
        if prompt_tokens <= room:
            return Prompt(text, sizes, num_crops, prompt_tokens, image_tokens, answer_ids)
    raise RequestError(
        "The conversation takes {prompt_tokens} tokens ({image_tokens} of them for {images} images "
        "cut into at most {num_crops} crops each) and the answer may take {max_new_tokens}; the "
        "context holds {context_length}. "
        "Use fewer images, a smaller num_crops or max_new_tokens, or start a new conversation.",
        prompt_tokens=prompt_tokens,
        image_tokens=image_tokens,
        images=len(sizes),
        num_crops=num_crops,
        max_new_tokens=request.sampling.max_new_tokens,
        context_length=context_length,
    )


def explain_shape(sizes: Sequence[tuple[int, int]], num_crops: int) -> RequestError:
    """Return the error for images that cannot be cut into crops: the most elongated one is why."""
    width, height = max(sizes, key=lambda size: max(size) / min(size))
    return RequestError(
        "The image is {width} x {height} pixels: one side is {ratio:.0f} times the other, and at "
        "num_crops {num_crops} the limit is {limit}. Cut it into shorter pieces.",
        width=width,
        height=height,
        ratio=max(width, height) / min(width, height),
        num_crops=num_crops,
        limit=CROP_SIZE * num_crops,
    )


def check_turns(turns: tuple[Turn, ...]) -> None:
    """Raise RequestError unless the last turn is the user's and has text or images."""
    if not turns or turns[-1].role != "user":
        raise RequestError("There is no question to answer; the last turn must be the user's.")
    if not turns[-1].text.strip() and not turns[-1].images:
        raise RequestError("The question is empty; write one or add an image.")
    for turn in turns:
        if turn.images and turn.role != "user":
            raise RequestError(
                "A turn of the {role} has {count} images; only the user's turns can show images.",
                role=turn.role,
                count=len(turn.images),
            )


def find_answer_ids(turn: Turn, processor: PromptProcessor) -> tuple[int, ...]:
    """Return the token ids of an answer that is continued, if they decode to its text; else ().

    Raises RequestError where the turn is not the assistant's or has images.
    """
    if turn.role != "assistant" or turn.images:
        raise RequestError(
            "The last turn is the {role}'s and has {count} images; only an answer's text can be "
            "continued: ask a question instead.",
            role=turn.role,
            count=len(turn.images),
        )
    tokenizer = processor.tokenizer
    special = set(tokenizer.added_tokens_decoder)
    if any(not 0 <= token < len(tokenizer) or token in special for token in turn.token_ids):
        return ()
    detokenizer = IncrementalDetokenizer(tokenizer)
    text = "".join(map(detokenizer.add, turn.token_ids)) + detokenizer.finish()
    return turn.token_ids if text == turn.text else ()


def render_prompt(turns: tuple[Turn, ...], processor: PromptProcessor) -> str:
    """Return the conversation in the checkpoint's chat format, up to where the answer begins.

    Images are numbered over all turns; a turn's tags stand before its text.
    """
    messages = []
    number = 0
    for turn in turns:
        tags = ""
        for _ in turn.images:
            number += 1
            tags += f"<|image_{number}|>\n"
        messages.append({"role": turn.role, "content": tags + disarm_markup(turn.text, processor)})
    prompt = processor.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    return str(prompt)


def disarm_markup(text: str, processor: PromptProcessor) -> str:
    """Put a space into image tags and special tokens typed by the user, so that they stay text.

    `<|end|>` becomes `< |end|>`. Halves of characters, which JSON can hold and no tokenizer takes,
    become question marks.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    special = [token.content for token in processor.tokenizer.added_tokens_decoder.values()]
    markup = "|".join([r"<\|image_\d+\|>", *map(re.escape, special)])
    return re.sub(markup, lambda found: found[0][0] + " " + found[0][1:], text)


def crop_choices(
    num_crops: int | None, sizes: Sequence[tuple[int, int]], processor: PromptProcessor
) -> tuple[int, ...]:
    """Return the values of num_crops to try: the requested one, or the checkpoint's default down.

    sizes are the images' widths and heights in pixels. Raises RequestError for a number below 1.
    """
    if num_crops is not None:
        if num_crops < 1:
            raise RequestError(
                "num_crops is {num_crops}; it must be at least 1.", num_crops=num_crops
            )
        return (num_crops,)
    for_one, for_several = processor.image_processor.auto_num_crops
    most = for_one if len(sizes) <= 1 else for_several
    while most > 1 and processor.image_processor.is_enough(sizes, most - 1):
        most -= 1
    return tuple(range(most, 0, -1))
