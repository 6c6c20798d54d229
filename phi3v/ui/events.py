"""What happens in a tab: pictures come in, a question is asked, answered, stopped, tried again.

Every event works on the values of the user who caused it, and on nothing else.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from phi3v.download import fetch_image
from phi3v.images import open_image
from phi3v.privacy import strip_file
from phi3v.request import FinishReason, Request, RequestError, Sampling, Turn
from phi3v.settings import Settings
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.answering import Stream, follow_answer
from phi3v.ui.compare_view import compare_after, connect_comparison
from phi3v.ui.conversation import (
    Answer,
    Chat,
    ask,
    ask_again,
    go_on,
    settle,
    to_gallery,
    to_messages,
)
from phi3v.ui.editing import ask_edited
from phi3v.ui.languages import translate
from phi3v.ui.layout import Tab, set_buttons
from phi3v.ui.notices import refusal, warn
from phi3v.ui.order import connect_order, follow_order

# All answers, of all tabs, users and endpoints, wait in one line for the one network.
ENGINE_QUEUE = {"concurrency_id": "engine", "concurrency_limit": 1}

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Not worth a place in the queue, and so never refused because the queue is full.
AT_ONCE: dict[str, Any] = {"queue": False, **QUIET}

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}

# What a gallery gives: files and their captions.
Shown = list[tuple[str, str | None]] | None


def connect(task: Task, tab: Tab, stream: Stream, settings: Settings) -> None:
    """Attach a tab's events to its components."""
    connect_pictures(task, tab, settings)
    begun = [tab.chat, tab.chatbot, tab.question, tab.figures, *tab.buttons]
    asked = [tab.chat, tab.pictures, tab.question]
    begin = partial(begin_answer, task)
    # A refusal by the server (its queue is full) must not cover the conversation.
    quiet = QUIET | {"show_progress_on": [tab.figures]}
    asking = quiet | {"validator": partial(check_question, task)}
    load = tab.examples.click(
        partial(load_example, task), [tab.examples, tab.chat], [tab.pictures, *begun], **AT_ONCE
    )
    follow_pictures_after(load, task, tab)
    edit = tab.chatbot.edit(make_edit(task), asked, begun, **quiet)
    # The chatbot has put the edited text into its place already.
    edit.failure(partial(show_chat, task), tab.chat, tab.chatbot, **AT_ONCE)
    answers = [
        follow_with_answer(event, task, tab, stream)
        for event in (
            gr.on([tab.ask.click, tab.question.submit], begin, asked, begun, **asking),
            tab.retry.click(
                partial(begin_again, task),
                asked,
                begun,
                validator=partial(check_retry, task),
                **quiet,
            ),
            load.success(begin, asked, begun, **asking),
            tab.go_on.click(
                partial(begin_more, task), asked, begun, validator=check_go_on, **quiet
            ),
            edit,
        )
    ]
    tab.stop.click(None, cancels=answers)
    # A click's events run in the order of their definition: the answer is cancelled first, and
    # cannot write into what has been cleared.
    for is_cleared in (tab.clear.click, tab.chatbot.clear):
        is_cleared(None, cancels=answers)
        cleared = is_cleared(clear, None, [tab.pictures, *begun], **AT_ONCE)
        follow_pictures_after(cleared, task, tab)


def connect_pictures(task: Task, tab: Tab, settings: Settings) -> None:
    """Attach the ways in which pictures come and go."""
    # However pictures come and go; what the camera takes, for one, is no upload.
    changed = tab.pictures.change(check_pictures, tab.pictures, tab.pictures, **QUIET)
    added = tab.address.submit(
        partial(add_from_address, settings.upload_limit_bytes),
        [tab.pictures, tab.address],
        [tab.pictures, tab.address],
        api_visibility="private",
    )
    if tab.comparison is not None:
        connect_comparison(tab.comparison, tab.pictures)
    for event in (changed, added, *connect_order(tab.order, tab.pictures, tab.chat)):
        follow_pictures_after(event, task, tab)


def follow_pictures_after(event: Any, task: Task, tab: Tab) -> None:
    """Once an event that changes the pictures is over, let chat, buttons, comparison follow.

    A gallery does not always tell that an event has changed it: not when it was empty before.
    """
    event = follow_order(event, task, tab.order, tab.pictures, tab.chat, tab.chatbot)
    if tab.comparison is not None:
        compare_after(event, tab.comparison, tab.pictures)


def follow_with_answer(event: Any, task: Task, tab: Tab, stream: Stream) -> Any:
    """Let an answer follow an event that asked; return the event that can be cancelled."""
    answer = event.success(
        partial(give_answer, task, stream),
        [tab.chat, *tab.sampling],
        [tab.answer, tab.chatbot, tab.figures],
        show_progress="minimal",
        show_progress_on=[tab.chatbot],
        api_visibility="private",
        **ENGINE_QUEUE,
    )
    answer.then(
        partial(end_answer, task),
        [tab.chat, tab.answer, tab.question],
        [tab.chat, tab.chatbot, tab.question, tab.figures, *tab.buttons],
        **AT_ONCE,
    )
    return answer


def files_of(shown: Shown) -> list[str]:
    """The files of a gallery."""
    return [path for path, _ in shown or []]


def check_pictures(shown: Shown) -> Any:
    """Number the pictures; leave out those that cannot be read, and say why."""
    files = files_of(shown)
    if shown == to_gallery(files):  # as it is after this very function, too
        return gr.skip()
    accepted: list[object] = []
    for file, caption in shown or []:
        try:
            # One with a caption has been read before.
            accepted.append(file if caption else keep_picture(file))
        except RequestError as error:
            warn(error.text)
    return to_gallery(accepted)


def keep_picture(file: str) -> object:
    """What the page keeps of a new picture: its file without metadata, or its pixels alone.

    Raises RequestError for one that cannot be read.
    """
    picture = open_image(file)
    path = Path(file).resolve()
    is_uploaded = path.is_relative_to(get_upload_folder())
    if path.suffix.lower() in SHOWN_BY_BROWSERS and (not is_uploaded or strip_file(path)):
        return file
    if is_uploaded:
        path.unlink(missing_ok=True)
    return picture


def add_from_address(limit_bytes: int, shown: Shown, address: str) -> tuple[Any, ...]:
    """Download a picture and put it to the others; the address stays if that fails."""
    try:
        if not address.strip():
            raise RequestError(words.NO_ADDRESS)
        picture = fetch_image(address, limit_bytes=limit_bytes)
    except RequestError as error:
        warn(error.text)
        return gr.skip(), gr.skip()
    return to_gallery([*files_of(shown), picture]), ""


def check_question(task: Task, chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Say below the question what is missing before it can be answered."""
    try:
        ask(task, chat, files_of(shown), question)
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def check_retry(task: Task, chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Say below the question why the last one cannot be asked again."""
    try:
        ask_again(task, chat, files_of(shown))
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def check_go_on(chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Say below the question why the last answer cannot go on."""
    try:
        go_on(chat)
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def show_below_question(problem: str) -> list[Any]:
    """What a validator of (chat, pictures, question) returns; no problem lets the event happen."""
    fine = gr.validate(True, "")
    return [fine, fine, gr.validate(not problem, translate(problem))]


def begin_answer(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Take a question into the conversation."""
    return show_begun(task, ask(task, chat, files_of(shown), question))


def begin_again(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Ask the last question once more; what has been typed since stays."""
    again, messages, _, *rest = show_begun(task, ask_again(task, chat, files_of(shown)))
    return again, messages, question, *rest


def begin_more(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Let the last answer go on; what has been typed since stays."""
    more, messages, _, *rest = show_begun(task, go_on(chat))
    return more, messages, question, *rest


def make_edit(task: Task) -> Callable[..., tuple[Any, ...]]:
    """What asks an edited question; gradio reads from its annotations that it wants the edit."""

    def begin_edited(
        event: gr.EditData, chat: Chat, shown: Shown, question: str
    ) -> tuple[Any, ...]:
        try:
            edited = ask_edited(task, chat, files_of(shown), int(event.index), str(event.value))
        except RequestError as error:
            raise refusal(error.text) from error
        begun, messages, _, *rest = show_begun(task, edited)
        return begun, messages, question, *rest

    return begin_edited


def show_chat(task: Task, chat: Chat) -> list[dict[str, str]]:
    """The conversation as it is."""
    return to_messages(chat.turns, task.is_verbatim)


def load_example(task: Task, index: int, chat: Chat) -> tuple[Any, ...]:
    """Start a new conversation with an example's pictures and question in their boxes."""
    if chat.ticket:  # asking will be refused, with the reason
        return tuple(gr.skip() for _ in range(9))
    example = task.examples[index]
    _, chat, messages, _, figures, *buttons = clear()
    return to_gallery(example.paths), chat, messages, example.question, figures, *buttons


def show_begun(task: Task, chat: Chat) -> tuple[Any, ...]:
    """The values of chat, chatbot, question, figures and buttons while an answer is awaited."""
    messages = to_messages(chat.turns, task.is_verbatim)
    return chat, messages, "", translate(words.WAITING), *set_buttons(is_answering=True)


def give_answer(
    task: Task,
    stream: Stream,
    chat: Chat,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    num_crops: str,
) -> Generator[tuple[Answer, list[dict[str, str]], str], None, None]:
    """Write the answer to the last question; on an error say it, and leave the rest to the end."""
    answer = Answer(chat.ticket)
    try:
        request = Request(
            chat.turns,
            *choose_sampling(max_new_tokens, temperature, top_p, seed, num_crops),
            is_continued=chat.is_continued,
        )
        with closing(follow_answer(stream, request)) as steps:
            for step in steps:
                answer = replace(
                    answer,
                    text=step.text,
                    figures=add_note(step.figures, step.finish_reason),
                    token_ids=tuple(token.id for token in step.tokens),
                    finish_reason=step.finish_reason,
                )
                yield answer, show_answer(task, chat, step.text), answer.figures
    except RequestError as error:
        warn(error.text)
    except gr.Error as error:
        warn(error.message)
    else:
        answer = replace(answer, is_complete=True)
        yield answer, show_answer(task, chat, answer.text), answer.figures


def add_note(figures: str, reason: FinishReason | None) -> str:
    """The figures of an answer, and below them what can be done where it did not end by itself."""
    note = words.END_NOTES.get(reason or "", "")
    return f"{figures}\n\n{translate(note)}" if note else figures


def choose_sampling(
    max_new_tokens: int, temperature: float, top_p: float, seed: int | None, num_crops: str
) -> tuple[Sampling, int | None]:
    """What a tab's settings say; no or a negative seed is another one each time."""
    fixed_seed = None if seed is None or seed < 0 else seed
    crops = None if num_crops == "auto" else int(num_crops)
    return Sampling(int(max_new_tokens), temperature, top_p, fixed_seed), crops


def show_answer(task: Task, chat: Chat, text: str) -> list[dict[str, str]]:
    """The conversation with what has been written of its answer."""
    if chat.is_continued:
        *earlier, last = chat.turns
        whole = replace(last, text=last.text + text)
        return to_messages([*earlier, whole], task.is_verbatim, is_whole=False)
    reply = [Turn("assistant", text)] if text else []
    return to_messages([*chat.turns, *reply], task.is_verbatim, is_whole=False)


def end_answer(task: Task, chat: Chat, answer: Answer, question: str) -> tuple[Any, ...]:
    """Put an answer, whole or stopped, into its conversation, and make the tab ready again.

    A question that got no word of an answer goes back into its box.
    """
    if not chat.ticket:  # cleared meanwhile, or never begun
        return tuple(gr.skip() for _ in range(8))
    settled = settle(chat, answer)
    messages = to_messages(settled.turns, task.is_verbatim)
    if len(settled.turns) < len(chat.turns):
        asked = chat.turns[-1].text
        kept = question or ("" if asked == task.default_prompt else asked)
        unanswered = translate(words.UNANSWERED)
        return settled, messages, kept, unanswered, *set_buttons(is_answering=False)
    stopped = f"{answer.figures} · {translate(words.REASONS['stopped'])}"
    figures = answer.figures if answer.is_complete else stopped
    buttons = set_buttons(is_answering=False, can_go_on=settled.can_go_on)
    return settled, messages, question, figures, *buttons


def clear() -> tuple[Any, ...]:
    """Forget the pictures and the conversation."""
    return None, Chat(), [], "", "", *set_buttons(is_answering=False)
