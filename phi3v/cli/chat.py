"""A chat on the terminal: reads questions line by line and streams the answers.

Must not know flags or how the engine is loaded.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from PIL import Image

from phi3v.cli.printing import phase_line, strip_control_characters
from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.documents.pages import Problem, find_pages
from phi3v.request import ImageSource, Request, RequestError, Sampling, Turn

HELP = """\
Write a question and press Enter; Ctrl-C stops an answer, Ctrl-D or /quit ends.
/add FILE   show a picture, a PDF's pages, a video's frames or a web address with the next question
/clear      begin a new conversation
/save FILE  write the conversation, with its pictures, to a .zip
"""


def chat(
    engine: StreamingEngine,
    images: Sequence[Image.Image],
    sampling: Sampling,
    num_crops: int | None,
    revision: str,
) -> None:
    """Read and answer questions until /quit or the end of standard input.

    `images` are shown with the first question; errors the user can fix are printed to stderr.
    """
    turns: tuple[Turn, ...] = ()
    pending: tuple[ImageSource, ...] = tuple(images)
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        print(f"{engine.name}, {len(pending)} pictures. /help tells more.", file=sys.stderr)
    while (line := read_line(is_terminal)) is not None:
        command, _, argument = line.strip().partition(" ")
        try:
            if command in ("/quit", "/exit"):
                return
            if command == "/help":
                print(HELP, file=sys.stderr)
            elif command == "/clear":
                turns, pending = (), ()
            elif command == "/add":
                pending += open_all(argument.strip())
            elif command == "/save":
                save(Request(turns, sampling, num_crops), engine, revision, argument.strip())
            elif line.strip() or pending:
                question = Turn("user", line.strip(), pending)
                text = print_answer(engine, Request((*turns, question), sampling, num_crops))
                turns, pending = (*turns, question, Turn("assistant", text)), ()
        except RequestError as error:
            print(f"phi3v: {error}", file=sys.stderr)


def read_line(is_terminal: bool) -> str | None:
    """Return the next line of standard input; None at its end."""
    try:
        return input("> " if is_terminal else "")
    except EOFError:
        return None


def print_answer(engine: StreamingEngine, request: Request) -> str:
    """Print an answer as it streams and return its text; Ctrl-C ends the answer."""
    text = ""
    try:
        with phase_line() as show_phase, closing(engine.stream(request)) as chunks:
            for chunk in chunks:
                show_phase(chunk)
                text += chunk.text
                print(strip_control_characters(chunk.text), end="", flush=True)
    except KeyboardInterrupt:
        print(" (stopped)", end="")
    print(flush=True)
    return text


def open_all(source: str) -> tuple[Image.Image, ...]:
    """Return all images of a file, folder or address. Raises RequestError if any is unreadable."""
    if not source:
        raise RequestError("/add needs a file, a folder or a web address behind it.")
    images = []
    for page in find_pages([source]):
        if not isinstance(page, Problem):
            images.append(page.open())
        elif page.is_left_out:
            print(f"phi3v: {page.message}", file=sys.stderr)
        else:
            raise RequestError(page.message)
    return tuple(images)


def save(request: Request, engine: StreamingEngine, revision: str, name: str) -> None:
    """Save the conversation to a .zip file. Raises RequestError if it cannot be written."""
    from phi3v.results.conversation_file import Conversation, save_conversation

    if not name:
        raise RequestError("/save needs a file's name behind it, such as talk.zip.")
    conversation = Conversation(
        request.turns, engine.name, revision, request.sampling, request.num_crops
    )
    save_conversation(conversation, Path(name).expanduser())
    print(f"Saved to {name}.", file=sys.stderr)
