"""The page's texts in English; see also the words of phi3v.ui.api, .ocr and .compare, phi3v.tasks.

Labels are translated when the page is served, messages of events when they are shown: see
phi3v.ui.i18n.localizing and phi3v.ui.i18n.languages.
"""

from phi3v.documents.resolution import write_time
from phi3v.request import Statistics
from phi3v.translatable import Text

TITLE = "Phi-3-Vision"
SUBTITLE = "Ask about your pictures. They are read by this app alone and deleted after an hour."

PICTURES = "Pictures"
ADDRESS = "Picture from the web"
ADDRESS_HINT = "https://…"
ADD = "Add"
FROM_DOCUMENT = "Pages of a PDF, frames of a video"
DOCUMENT = "PDF, TIFF, video or animation"
FRAMES = "Frames of a video"
STRIP = "A click adds it to the pictures"
ADD_ALL = "Add all"
QUESTION = "Question"
ASK = "Ask"
STOP = "Stop"
RETRY = "Retry"
CLEAR = "Clear"
CHAT = "Conversation"
CONTINUE = "Continue"
EXAMPLES = "Examples: a click asks"
EXAMPLE_PICTURES = "Pictures"

SETTINGS = "Settings"
MAX_NEW_TOKENS = "Longest answer (tokens)"
TEMPERATURE = "Temperature"
TEMPERATURE_HINT = "0 gives the likeliest words; more varies them."
TOP_P = "Top p"
TOP_P_HINT = "Keeps only the likeliest words that add up to this share."
SEED = "Seed"
SEED_HINT = "Same seed, same answer; -1 takes another one each time."
MODEL = "Model"
MODEL_HINT = (
    "One is in memory at a time: another is loaded when a question asks for it, which then waits."
)
ADAPTER = "Adapter"
ADAPTER_HINT = "What the model has learnt on top, for this conversation."
NO_ADAPTER = "No adapter"
NUM_CROPS = "Detail"
NUM_CROPS_HINT = "More crops show smaller print and take longer."

ERROR = "Error"
WARNING = "Warning"
NOTE = "Note"

WAITING = "Waiting for its turn…"
LOADING = "The model is still loading; the answer follows by itself…"
UNANSWERED = "Not answered; the question is back in its box."
BUSY = "An answer is being written: stop it first, or wait for its end."
NOTHING_TO_RETRY = "There is no answer to try again yet: ask something first."
NOTHING_TO_CONTINUE = "There is nothing to continue: the last answer ended by itself."
NO_ADDRESS = "Type or paste a picture's address first."
BROKEN = "Something went wrong on this side; it has been written to the log. Try again."

REASONS = {
    "end": "complete",
    "length": "cut at the longest answer allowed",
    "stopped": "stopped",
    "loop": "ended because it repeated itself",
    "interrupted": "broken off by the server",
}

END_NOTES = {
    "length": "**The text is cut** at the longest answer allowed: Continue adds the rest.",
    "loop": "**The model repeated itself and was stopped**; the repetition is shown once. If the "
    "picture really repeats, Continue adds the rest.",
    "stopped": "**Stopped** before its end: Continue adds the rest.",
    "interrupted": "**The server broke off** before the end: Continue asks for the rest.",
}

MODEL_NOTE = "Answers come from **{name}** on {device}, {dtype}."
SERVED_NOTE = "Answers come from **{name}** on {device}."
ANY_MODEL = Text("The model")
LOADING_NOTE = "**{name}** is being loaded; a question asked now is answered once it is there."
WAITS_FOR_SERVER = "{problem} This page goes on by itself once one answers."
NOT_LOADED_NOTE = "**{name}** could not be loaded: {reason}"
NOT_LOADED = "the log says why."
EMBEDDED_NOTE = (
    "It is the small model that comes with the app, to try everything without a GPU or a "
    "download: it reads a few lines of plain print, book covers and small tables, finds a chart's "
    "highest bar, describes and counts coloured shapes, and tells two such pictures apart, with "
    "some mistakes. Photos, handwriting and questions of knowledge are beyond it. "
    "For the real one: `python app.py --model microsoft/Phi-3.5-vision-instruct`"
)


def picture_name(number: int) -> Text:
    """Return the name of a picture by its number, counted from 1 over the whole conversation."""
    return Text("Image {number}", number=number)


def page_number(number: int) -> Text:
    """Return the name of a document's page."""
    return Text("Page {number}", number=number)


def frame_at(seconds: float) -> Text:
    """Return the time of a video's frame."""
    return Text("at {time}", time=write_time(seconds))


def picture_at(number: int, seconds: float) -> Text:
    """Return the name of a picture that is a video's frame at a time."""
    return Text("{name} at {time}", name=picture_name(number), time=write_time(seconds))


def taken(count: int, total: int) -> Text:
    """Return how many pages or frames of a file were added."""
    return Text(
        "{count} of {total} pages or frames were added; choose others below the pictures.",
        count=count,
        total=total,
    )


def first_token(seconds: float) -> Text:
    """Return the time to the first token."""
    return Text("First token after {seconds:.2f} s", seconds=seconds)


def decoded(count: int, per_second: float) -> list[Text]:
    """Return the decoding speed and the number of new tokens; no speed for a single token."""
    rate = Text("{rate:.1f} tokens/s", rate=per_second)
    if count == 1:
        return [Text("1 new token")]
    return [rate, Text("{count} new tokens", count=count)]


def prompt_tokens(statistics: Statistics) -> Text:
    """Return the prompt's tokens, and how many are image tokens and reused ones."""
    if not statistics.reused_tokens:
        return Text(
            "{count} in the prompt, {images} of them image",
            count=statistics.prompt_tokens,
            images=statistics.image_tokens,
        )
    return Text(
        "{count} in the prompt, {images} of them image, {reused} reused",
        count=statistics.prompt_tokens,
        images=statistics.image_tokens,
        reused=statistics.reused_tokens,
    )


def peak_memory(size: int) -> Text:
    """Return an answer's peak GPU memory; size is in bytes."""
    return Text("{size:.1f} GB of GPU memory at most", size=size / 1e9)


def answered_by(model: str, adapter: str) -> list[Text]:
    """Return the chosen model and adapter of an answer, as far as there was a choice."""
    named = [Text("model {name}", name=model)] if model else []
    return [*named, Text("adapter {name}", name=adapter)] if adapter else named


# Before a question is sent.
NO_ESTIMATE = "The model is still loading, and its sizes are not known: try again soon."
PRESETS = "Ready questions"
SHOW_CROPS = "Show the crops"
CROPS = "Crops"
# The levels of detail; the numbers of crops are those of phi3v.tasks.DETAILS.
DETAILS = {"fast": "Fast (1)", "balanced": "Balanced (4)", "fine": "Fine (16)", "auto": "Auto"}


def picture_takes(number: int, size: tuple[int, int], grid: tuple[int, int], tokens: int) -> Text:
    """Return the pixels, crops and tokens of a picture; grid is (rows, columns)."""
    crops = Text("{columns} x {rows} crops", columns=grid[1], rows=grid[0])
    return Text(
        "{name}: {width} x {height} pixels, {crops}, {tokens} tokens",
        name=picture_name(number),
        width=size[0],
        height=size[1],
        crops=Text("1 x 1 crop") if grid == (1, 1) else crops,
        tokens=tokens,
    )


def request_takes(
    prompt: int, answer: int, room: int, context: int, seconds: tuple[float, float] | None
) -> Text:
    """Return the tokens that a question needs, those left of the context, and its duration.

    seconds until the first word and until the end are estimated from earlier answers; None without
    any.
    """
    takes = Text(
        "{prompt} tokens to read, up to {answer} to write; {room} of the context's {context} "
        "stay free",
        prompt=prompt,
        answer=answer,
        room=room,
        context=context,
    )
    if seconds is None:
        return Text("{takes}.", takes=takes)
    return Text(
        "{takes}; first word after about {first:.1f} s, the longest answer {most:.0f} s.",
        takes=takes,
        first=seconds[0],
        most=seconds[1],
    )


def does_not_fit(problem: str) -> Text:
    """Return the warning that a question will be refused; problem says what to change."""
    return Text("**This will not fit.** {problem}", problem=problem)


MOVE_EARLIER = "◀ Move {name}"
MOVE_LATER = "Move {name} ▶"
SELECTED_PICTURE = "picture"
NONE_SELECTED = "Click on a picture first, then move it."
KEEPS_ITS_NUMBER = (
    "{name} has been asked about and keeps its number: only pictures added since can be moved. "
    "Clear begins anew."
)
PICTURE_REMOVED = (
    "The picture has been taken out of the conversation too; those behind it have new numbers, "
    "also above the questions."
)

NOT_EDITABLE = "This message cannot be edited: edit one of your questions above."

TRANSFER = "Save or load this conversation"
SAVE = "Save"
LOAD = "Load"
SAVED = "Saved conversation: text, pictures, model and settings"
SAVED_FILE = Text("The file")
NOTHING_TO_SAVE = "There is nothing to save yet: ask something first."
NOT_IN_TURNS = (
    "In the file questions and answers do not take turns: give a conversation that was saved here."
)
LOADED = "Loaded"
LOADED_FROM = "Loaded; it was held with {model}"


def loaded(model: str, revision: str, adapter: str = "") -> Text:
    """Return the status line of a loaded conversation, with what it was held with."""
    if not model:
        return Text(LOADED)
    name = f"{model} {revision[:12]}".strip()
    return Text(LOADED_FROM, model=f"{name} + {adapter}" if adapter else name)


def too_large_to_load(size: int, limit: int) -> Text:
    """Return the note on a saved file that exceeds the upload limit; sizes are in bytes."""
    return Text(
        "The saved file has {size:.1f} MB, and this page loads files up to {limit:.0f} MB: use "
        "fewer or smaller pictures, or raise --upload-limit.",
        size=size / 2**20,
        limit=limit / 2**20,
    )


# Phases before the first token.
WAITING_POSITION = "Waiting in the queue: position {number} of {total}…"
OPENING_IMAGE = "Opening image {number} of {total}…"
READING_IMAGE = "Reading image {number} of {total}…"
READING_QUESTION = "Reading the question…"
CPU_CROPS = "On a CPU, Auto cuts a picture into {count} crops at most; Fine (16) shows small print."
MEMORY_TAKES = "It takes about {megabytes} MB of memory."
