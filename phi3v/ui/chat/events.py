"""What happens in a tab: a question is asked, answered, stopped, edited, tried again.

Every event works on the values of the user who caused it, and on nothing else.
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
from phi3v.ui.i18n.languages import translate
from phi3v.ui.notices import refusal, warn
from phi3v.ui.wiring import (
    AT_ONCE,
    QUIET,
    Shown,
    choose_sampling,
    engine_queue,
    files_of,
)


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
        follow_with_answer(event, task, tab, stream, settings)
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
            tab.continue_button.click(
                partial(begin_more, task), asked, begun, validator=check_continue, **quiet
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


def follow_with_answer(event: Any, task: Task, tab: Tab, stream: Stream, settings: Settings) -> Any:
    """Let an answer follow an event that asked; return the event that can be cancelled."""
    answer = event.success(
        partial(give_answer, task, stream),
        [tab.chat, *tab.sampling],
        [tab.answer, tab.chatbot, tab.figures],
        show_progress="minimal",
        show_progress_on=[tab.chatbot],
        api_visibility="private",
        **engine_queue(settings),
    )
    answer.then(
        partial(end_answer, task),
        [tab.chat, tab.answer, tab.question],
        [tab.chat, tab.chatbot, tab.question, tab.figures, *tab.buttons],
        **AT_ONCE,
    )
    return answer


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


def check_continue(chat: Chat, shown: Shown, question: str) -> list[Any]:
    """Say below the question why the last answer cannot go on."""
    try:
        continue_answer(chat)
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
    return show_begun(task, ask_again(task, chat, files_of(shown)), gr.skip())


def begin_more(task: Task, chat: Chat, shown: Shown, question: str) -> tuple[Any, ...]:
    """Let the last answer go on; what has been typed since stays."""
    return show_begun(task, continue_answer(chat), gr.skip())


def make_edit(task: Task) -> Callable[..., tuple[Any, ...]]:
    """What asks an edited question; gradio reads from its annotations that it wants the edit."""

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
    """The conversation as it is."""
    return to_messages(chat.turns, task.is_verbatim)


def load_example(task: Task, index: int, chat: Chat) -> tuple[Any, ...]:
    """Start a new conversation with an example's pictures and question in their boxes."""
    if chat.ticket:  # asking will be refused, with the reason
        return tuple(gr.skip() for _ in range(9))
    example = task.examples[index]
    _, chat, messages, _, figures, *buttons = clear()
    return to_gallery(example.paths), chat, messages, example.question, figures, *buttons


def show_begun(task: Task, chat: Chat, question: Any = "") -> tuple[Any, ...]:
    """The values of chat, chatbot, question, figures and buttons while an answer is awaited."""
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
) -> Generator[tuple[Any, Any, Any], None, None]:
    """Write the answer to the last question; on an error say it, and leave the rest to the end."""
    answer = Answer(chat.ticket)
    try:
        request = Request(
            chat.turns,
            *choose_sampling(max_new_tokens, temperature, top_p, seed, num_crops),
            is_continued=chat.is_continued,
            ends_loops=chat.ends_loops,
        )
        shown = None
        with closing(follow_answer(stream, request)) as steps:
            for step in steps:
                if step == shown:  # a sign of life: it can be stopped here
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


def add_note(figures: str, reason: FinishReason | None) -> str:
    """The figures of an answer, and below them what can be done where it did not end by itself."""
    note = words.END_NOTES.get(reason or "", "")
    return f"{figures}\n\n{translate(note)}" if note else figures


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

    A question that got no word of an answer goes back into its box. What has been typed since is
    not written back: more may be typed while this runs.
    """
    if not chat.ticket:  # cleared meanwhile, or never begun
        return tuple(gr.skip() for _ in range(8))
    settled = settle(chat, answer)
    messages = to_messages(settled.turns, task.is_verbatim)
    if len(settled.turns) < len(chat.turns):
        asked = chat.turns[-1].text
        back = gr.skip() if question or asked == task.default_prompt else asked
        unanswered = translate(words.UNANSWERED)
        return settled, messages, back, unanswered, *set_buttons(is_answering=False)
    stopped = f"{answer.figures} · {translate(words.REASONS['stopped'])}"
    figures = answer.figures if answer.is_complete else stopped
    buttons = set_buttons(is_answering=False, can_continue=settled.can_continue)
    return settled, messages, gr.skip(), figures, *buttons


def clear() -> tuple[Any, ...]:
    """Forget the pictures and the conversation."""
    return None, Chat(), [], "", "", *set_buttons(is_answering=False)
