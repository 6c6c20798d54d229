"""What the page says, in one place; the tasks' own words are in phi3v.tasks."""

from phi3v.request import Statistics

TITLE = "Phi-3-Vision"
SUBTITLE = "Ask about your pictures. They are read by this app alone and deleted after an hour."

PICTURES = "Pictures"
ADDRESS = "Picture from the web"
ADDRESS_HINT = "https://…"
ADD = "Add"
QUESTION = "Question"
ASK = "Ask"
STOP = "Stop"
RETRY = "Retry"
CLEAR = "Clear"
CHAT = "Conversation"
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
NUM_CROPS = "Detail (crops per picture)"
NUM_CROPS_HINT = "More crops show smaller print and take longer."

WAITING = "Waiting for its turn…"
LOADING = "The network is still being loaded; the answer follows by itself…"
READING = "Looking at the pictures…"
UNANSWERED = "Not answered; the question is back in its box."
BUSY = "An answer is being written: stop it first, or wait for its end."
NOTHING_TO_RETRY = "There is no answer to try again yet: ask something first."
NO_ADDRESS = "Type or paste a picture's address first."
BROKEN = "Something went wrong on this side; it has been written to the log. Try again."

REASONS = {
    "end": "complete",
    "length": "cut at the longest answer allowed",
    "stopped": "stopped",
    "loop": "ended because it repeated itself",
}

MODEL_NOTE = "Answers come from **{name}** on {device}, {dtype}."
LOADING_NOTE = "**{name}** is being loaded; a question asked now is answered once it is there."
NOT_LOADED_NOTE = "**{name}** could not be loaded: {reason}"
NOT_LOADED = "the log says why."
EMBEDDED_NOTE = (
    "It is the small network that comes with the app, to try everything without a GPU or a "
    "download: it names plain coloured shapes, tells two of them apart, and reads one or two large "
    "words, often with a wrong letter. Photos, small print, charts, and free or further questions "
    "are beyond it. "
    "For the real one: `python app.py --model microsoft/Phi-3.5-vision-instruct`"
)


def picture_name(number: int) -> str:
    """What picture `number`, counted from 1 over the whole conversation, is called."""
    return f"Image {number}"


def first_token(seconds: float) -> str:
    """How long an answer's first token took."""
    return f"First token after {seconds:.2f} s"


def prompt_tokens(statistics: Statistics) -> str:
    """What the prompt consisted of."""
    reused = f", {statistics.reused_tokens} kept from before" if statistics.reused_tokens else ""
    images = f"{statistics.image_tokens} of them image"
    return f"{statistics.prompt_tokens} in the prompt, {images}{reused}"


def peak_memory(size: int) -> str:
    """The most memory an answer took."""
    return f"{size / 1e9:.1f} GB of GPU memory at most"


def stopped(figures: str) -> str:
    """The line of figures of an answer that its user ended."""
    return f"{figures} · {REASONS['stopped']}"


# What programs are told.
TURNS = "turns"
NO_TURNS = "There are no turns: send at least one, with the role user."
NO_ESTIMATE = "The network is still being loaded, and its sizes are not known: try again soon."


def bad_turns(place: str, problem: str) -> str:
    """Where a conversation that a program sent is none."""
    return (
        f"The conversation cannot be read at {place}: {problem}. Send a list of turns, each with "
        "role (user, assistant or system), text, and images (numbers of pictures)."
    )


def bad_numbers(named: list[int], count: int) -> str:
    """That the turns of a conversation do not name the pictures that came with it."""
    return (
        f"The turns name the pictures {named}, and {count} came with the call: name each once, "
        "in order, counted from 1."
    )
