"""Events of a chat tab: ask, answer, stop, edit, retry, continue, clear.

Every handler works on the values of its own user's session only.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from phi3v.request import FinishReason, Request, RequestError, Turn
from phi3v.settings import Settings
from phi3v.tasks import Task
from phi3v.ui import words
from phi3v.ui.answering import Stream, follow_answer
from phi3v.ui.chat.conversation import (
    Answer,
    Chat,
    ask,
    ask_again,
    continue_answer,
    settle,
    to_gallery,
    to_messages,
)
from phi3v.ui.chat.editing import ask_edited
from phi3v.ui.chat.layout import Tab, set_buttons
from phi3v.ui.chat.pictures import connect_pictures, follow_pictures_after
from phi3v.ui.choosing import choose_source
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import refusal, warn
from phi3v.ui.stopping import ANSWERS
from phi3v.ui.wiring import (
    QUIET,
    UNQUEUED,
    Shown,
    choose_sampling,
    engine_queue,
    files_of,
)


def connect(task: Task, tab: Tab, stream: Stream, settings: Settings) -> None:
    """Attach a tab's events to its components."""
    connect_pictures(task, tab, settings)
    begun = tab.settled
    asked = [tab.chat, tab.pictures, tab.question]
    begin = partial(begin_answer, task)
    # A refusal by the server (its queue is full) must not cover the conversation.
    quiet = QUIET | {"show_progress_on": [tab.figures]}
    asking = quiet | {"validator": partial(check_question, task)}
    load = tab.examples.click(
        partial(load_example, task), [tab.examples, tab.chat], [tab.pictures, *begun], **UNQUEUED
    )
    follow_pictures_after(load, task, tab)
    edit = tab.chatbot.edit(make_edit(task), asked, begun, **quiet)
    # The chatbot already shows the edited text; a refused edit has to be undone.
    edit.failure(partial(show_chat, task), tab.chat, tab.chatbot, **UNQUEUED)
    retry = partial(begin_again, task), asked, begun
    for event in (
        gr.on([tab.ask.click, tab.question.submit], begin, asked, begun, **asking),
        tab.retry.click(*retry, validator=partial(check_retry, task), **quiet),
        load.success(begin, asked, begun, **asking),
        tab.continue_button.click(
            partial(begin_more, task), asked, begun, validator=check_continue, **quiet
        ),
        edit,
    ):
        follow_with_answer(event, task, tab, stream, settings)
    ended = [tab.chat, tab.answer, tab.question], tab.settled
    tab.stop.click(partial(stop_answer, task), *ended, **UNQUEUED)
    for is_cleared in (tab.clear.click, tab.chatbot.clear):
        cleared = is_cleared(clear, tab.chat, [tab.pictures, *begun], **UNQUEUED)
        follow_pictures_after(cleared, task, tab)


def follow_with_answer(
    event: Any, task: Task, tab: Tab, stream: Stream, settings: Settings
) -> None:
    """Run the answer after an event that asked, and settle the conversation when it ends."""
    answer = event.success(
        partial(give_answer, task, stream),
        [tab.chat, *tab.sampling, *tab.choice],
        [tab.answer, tab.chatbot, tab.figures],
        show_progress="minimal",
        show_progress_on=[tab.chatbot],
        api_visibility="private",
        **engine_queue(settings),
    )
    ended = [tab.chat, tab.answer, tab.question], tab.settled
    answer.then(partial(end_answer, task), *ended, **UNQUEUED)
    answer.failure(partial(refuse_answer, task), *ended, **UNQUEUED)


def check_question(task: Task, chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Validate a question; what is missing is shown below it."""
    try:
        ask(task, chat, files_of(shown), question)
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def check_retry(task: Task, chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Validate a retry; why it is impossible is shown below the question."""
    try:
        ask_again(task, chat, files_of(shown))
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def check_continue(chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Validate a continuation; why it is impossible is shown below the question."""
    try:
        continue_answer(chat)
    except RequestError as error:
        return show_below_question(error.text)
    return show_below_question("")


def show_below_question(problem: str) -> list[Any]:
    """Return verdicts for the inputs chat, pictures, question; "" lets the event run."""
    fine = gr.validate(True, "")
    return [fine, fine, gr.validate(not problem, translate(problem))]


def begin_answer(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Add a question to the conversation."""
    return show_begun(task, ask(task, chat, files_of(shown), question))


def begin_again(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Ask the last question again; text typed since stays in its box."""
    return show_begun(task, ask_again(task, chat, files_of(shown)), gr.skip())


def begin_more(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Continue the last answer; text typed since stays in its box."""
    return show_begun(task, continue_answer(chat), gr.skip())


def make_edit(task: Task) -> Callable[..., tuple[Any, ...]]:
    """Return the handler of an edit; Gradio passes EditData because of the annotation."""

    def begin_edited(
        event: gr.EditData, chat: Chat, shown: Shown, question: str
    ) -> tuple[Any, ...]:
        try:
            edited = ask_edited(task, chat, files_of(shown), int(event.index), str(event.value))
        except RequestError as error:
            raise refusal(error.text) from error
        return show_begun(task, edited, gr.skip())

    return begin_edited


def show_chat(task: Task, chat: Chat) -> list[dict[str, str]]:
    """Return the conversation as messages."""
    return to_messages(chat.turns, task.is_verbatim)


def load_example(task: Task, index: int, chat: Chat) -> tuple[Any, ...]:
    """Start a new conversation with an example's images and question, not yet asked."""
    if chat.ticket:  # asking will be refused, with the reason
        return tuple(gr.skip() for _ in range(9))
    example = task.examples[index]
    _, chat, messages, _, figures, *buttons = clear(chat)
    return to_gallery(example.paths), chat, messages, example.question, figures, *buttons


def show_begun(task: Task, chat: Chat, question: Any = "") -> tuple[Any, ...]:
    """Return the values of chat, chatbot, question, figures and buttons before the first word."""
    ANSWERS.begin(chat.ticket)
    messages = to_messages(chat.turns, task.is_verbatim)
    waiting = translate(words.WAITING)
    return chat, messages, question, waiting, *set_buttons(is_answering=True)


def give_answer(
    task: Task,
    stream: Stream,
    chat: Chat,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | None,
    num_crops: str,
    model: str | None = None,
    adapter: str | None = None,
) -> Generator[tuple[Any, Any, Any], None, None]:
    """Yield the answer to the last question; errors become warnings, and end_answer runs next."""
    answer = Answer(chat.ticket)
    ANSWERS.start(chat.ticket)
    try:
        request = Request(
            chat.turns,
            *choose_sampling(max_new_tokens, temperature, top_p, seed, num_crops),
            is_continued=chat.is_continued,
            ends_loops=chat.ends_loops,
            **choose_source(model, adapter),
        )
        shown = None
        with closing(follow_answer(stream, request)) as steps:
            for step in steps:
                if ANSWERS.is_stopped(chat.ticket):
                    return
                if step == shown:  # a heartbeat: the page can leave here
                    yield gr.skip(), gr.skip(), gr.skip()
                    continue
                shown = step
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
    finally:
        ANSWERS.end(chat.ticket)


def add_note(figures: str, reason: FinishReason | None) -> str:
    """Return an answer's status line, with a note below it if it did not end by itself."""
    note = words.END_NOTES.get(reason or "", "")
    return f"{figures}\n\n{translate(note)}" if note else figures


def show_answer(task: Task, chat: Chat, text: str) -> list[dict[str, str]]:
    """Return the conversation as messages, with the answer so far."""
    if chat.is_continued:
        *earlier, last = chat.turns
        whole = replace(last, text=last.text + text)
        return to_messages([*earlier, whole], task.is_verbatim, is_whole=False)
    reply = [Turn("assistant", text)] if text else []
    return to_messages([*chat.turns, *reply], task.is_verbatim, is_whole=False)


def end_answer(task: Task, chat: Chat, answer: Answer, question: str) -> tuple[Any, ...]:
    """Add an answer, complete or stopped, to its conversation, and enable the buttons again.

    A question without any answer text goes back into its box. Otherwise the box is skipped, not
    written with its own value: the user may be typing while this runs.
    """
    if ANSWERS.is_running(chat.ticket):  # an earlier answer has ended
        return tuple(gr.skip() for _ in range(8))
    if not chat.ticket:  # stopped or cleared before: undo what the answer wrote since
        buttons = set_buttons(is_answering=False, can_continue=chat.can_continue)
        return chat, show_chat(task, chat), gr.skip(), chat.figures, *buttons
    settled = settle(chat, answer)
    messages = to_messages(settled.turns, task.is_verbatim)
    if len(settled.turns) < len(chat.turns):
        asked = chat.turns[-1].text
        back = gr.skip() if question or asked == task.default_prompt else asked
        settled = replace(settled, figures=translate(words.UNANSWERED))
        return settled, messages, back, settled.figures, *set_buttons(is_answering=False)
    stopped = f"{answer.figures} · {translate(words.REASONS['stopped'])}"
    settled = replace(settled, figures=answer.figures if answer.is_complete else stopped)
    buttons = set_buttons(is_answering=False, can_continue=settled.can_continue)
    return settled, messages, gr.skip(), settled.figures, *buttons


def stop_answer(task: Task, chat: Chat, answer: Answer, question: str) -> tuple[Any, ...]:
    """Stop the running answer and settle the conversation with what there is of it."""
    ANSWERS.stop(chat.ticket)
    return end_answer(task, chat, answer, question)


def refuse_answer(task: Task, chat: Chat, answer: Answer, question: str) -> tuple[Any, ...]:
    """Settle the conversation after the server refused to start the answer."""
    ANSWERS.end_unstarted(chat.ticket)
    return end_answer(task, chat, answer, question)


def clear(chat: Chat) -> tuple[Any, ...]:
    """Stop the running answer, and empty the pictures and the conversation."""
    ANSWERS.stop(chat.ticket)
    return None, Chat(), [], "", "", *set_buttons(is_answering=False)
