"""What the page says, in one place; the tasks' own words are in phi3v.tasks."""

from phi3v.difference import Difference, Region
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
NUM_CROPS = "Detail"
NUM_CROPS_HINT = "More crops show smaller print and take longer."

WAITING = "Waiting for its turn…"
LOADING = "The network is still being loaded; the answer follows by itself…"
UNANSWERED = "Not answered; the question is back in its box."
BUSY = "An answer is being written: stop it first, or wait for its end."
NOTHING_TO_RETRY = "There is no answer to try again yet: ask something first."
NOTHING_TO_GO_ON = "There is nothing to go on with: the last answer ended by itself."
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
    "words, some with a wrong letter. Photos, small print, and free questions are beyond it; with "
    "tables, charts and large pictures it is often wrong. "
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


# Reading documents.
DOCUMENTS = "Documents"
CONVERSATION = "Conversation"
FILES = "Pictures and PDFs"
PAGES = "Pages of the PDFs"
PAGES_HINT = "1-3,7 or 5-; empty: all"
FORMAT = "Result as"
INSTRUCTION = "Instruction (if the usual one does not suit)"
READ = "Read"
CONTINUE = "Continue"
RESULT = "Result"
RESULTS = "Results"
RAW = "Raw"
UNSURE_WORDS = "Unsure words"
UNSURE = "unsure"
THRESHOLD = "Mark words below this probability"
BEING_READ = "Being read"
PROGRESS = "Pages read"
SAVE_PAGE = "Save this page"
SAVE_ALL = "Save all pages (zip)"
OPENING = "Opening…"
NO_FILES = "There is nothing to read yet: add pictures or PDFs first."
READING_ALREADY = "Pages are being read: stop that first, or wait for its end."
NOTHING_CUT = "This page's text is whole: there is nothing to go on with."
NOT_READ = "not read"
MARKS = {"length": "cut", "loop": "repeats", "stopped": "stopped"}
END_NOTES = {
    "length": "**The text is cut** at the longest answer allowed: Continue goes on where it ended.",
    "loop": "**The network repeated itself and was stopped**; the repetition is shown once. If the "
    "picture really repeats, Continue goes on.",
    "stopped": "**Stopped** before its end: Continue goes on.",
}
NOT_IN_FORMAT = "**Not in the format asked for:**"
NO_PROBABILITIES = "How sure the network was is known of whole answers only."
READ_HINT = "Add pictures or PDFs and press Read: the results appear here, page by page."


def page_progress(number: int, total: int, name: str) -> str:
    """Which page is being read."""
    return f"Page {number} of {total}: {name}"


def all_read(total: int, failed: int) -> str:
    """How many pages were read and how many could not be."""
    if not failed:
        return f"{total} of {total} pages read."
    return f"{total - failed} of {total} pages read; what could not be is marked in the results."


def partly_read(done: int, total: int) -> str:
    """How far the reading came."""
    return f"Stopped after {done} of {total} pages."


def result_name(number: int, name: str, mark: str) -> str:
    """A page in the list of results."""
    return f"{number}. {name}{f' ({mark})' if mark else ''}"


def count_unsure(unsure: int, count: int) -> str:
    """How many words are marked."""
    return f"{unsure} of {count} words are marked."


# Before sending.
PRESETS = "Ready questions"
SHOW_CROPS = "Show the crops"
CROPS = "Crops"
DETAILS = {"fast": "Fast", "balanced": "Balanced", "fine": "Fine", "auto": "Auto"}


def detail_name(name: str, num_crops: int | None) -> str:
    """A level of detail and what it means."""
    return DETAILS[name] if num_crops is None else f"{DETAILS[name]} ({num_crops})"


def crops_name(num_crops: int) -> str:
    """A number of crops that is no level of detail."""
    return f"{num_crops} crops"


def picture_takes(number: int, size: tuple[int, int], grid: tuple[int, int], tokens: int) -> str:
    """What a picture takes; grid counts rows and columns."""
    rows, columns = grid
    return (
        f"{picture_name(number)}: {size[0]} x {size[1]} pixels, {columns} x {rows} "
        f"{'crop' if rows * columns == 1 else 'crops'}, {tokens} tokens"
    )


def request_takes(prompt: int, answer: int, room: int, context: int) -> str:
    """What a question takes of the context, and what it leaves."""
    return (
        f"{prompt} tokens to read, up to {answer} to write; {room} of the context's {context} "
        "stay free"
    )


def time_takes(first: float, most: float) -> str:
    """How long an answer will take, as this machine was so far."""
    return f"first word after about {first:.1f} s, the longest answer {most:.0f} s"


def does_not_fit(problem: str) -> str:
    """That a question will be refused, and what to change."""
    return f"**This will not fit.** {problem}"


def too_many(count: int, limit: int) -> str:
    """That a tool was sent too many pictures."""
    return f"{count} pictures were sent, the limit is {limit}: send fewer at once."


def too_large(name: str, size: int, limit: int) -> str:
    """That a picture in a data URL is too large."""
    return (
        f"{name} has {size / 2**20:.1f} MB, the limit is {limit / 2**20:.0f}: send a smaller one, "
        "or as JPEG."
    )


def bad_data_url(name: str) -> str:
    """That a data URL cannot be read."""
    return f"{name} is no data URL of a picture: send data:image/png;base64, and its bytes."


COMPARE_FIRST = "Left picture"
COMPARE_SECOND = "Right picture"
COMPARE_EMPTY = "With two pictures or more, what differs is measured and shown here."
COMPARE_SAME_TWICE = "The same picture is chosen twice: choose two different ones."
NOT_COMPARED = "The pictures were not compared. {reason}"
SLIDER = "Slider over two pictures"
CHANGES = "What changed"

VERDICTS = {
    "identical": "**Identical**: {first} and {second} are the same in every pixel.",
    "re-encoded": "**The same picture, saved anew**: between {first} and {second} only traces of "
    "another size or compression differ.",
    "nearly the same": "**Nearly the same**: {first} and {second} differ in {count}.",
    "different": "**Different pictures**: {first} and {second} have too little in common to mark "
    "single changes.",
}
ONLY_MOVED = "**Nearly the same**: {first} and {second} differ in their position only."
ONE_PLACE = "one place, boxed on the map"
PLACES = "{count} places, boxed and numbered on the map"
MOVED = "{second} was moved, turned or scaled to lie on {first}."
WHERE = "Where: {places}."
SIMILARITY = "Structural similarity: {similarity:.2f} (1 is equal)."
PLACE_NAMES = (
    ("top left", "top", "top right"),
    ("left", "centre", "right"),
    ("bottom left", "bottom", "bottom right"),
)
MOST_PLACES_NAMED = 8
FURTHER_PLACES = "and {count} more"


def slider_label(first: str, second: str) -> str:
    """What lies under the two sides of the slider."""
    return f"{first} | {second}"


def changes_label(first: str, second: str) -> str:
    """What the map of changes shows."""
    return f"{CHANGES}: {first} → {second}"


def verdict(difference: Difference, first: str, second: str) -> str:
    """Say in words how two pictures differ, and where."""
    regions = difference.regions
    count = ONE_PLACE if len(regions) == 1 else PLACES.format(count=len(regions))
    sentence = VERDICTS[difference.verdict]
    if difference.verdict == "nearly the same" and not regions:
        sentence = ONLY_MOVED
    parts = [sentence.format(first=first, second=second, count=count)]
    if difference.moved and regions:
        parts.append(MOVED.format(first=first, second=second))
    if regions:
        width, height = difference.first.size
        named = [name_place(region, width, height) for region in regions[:MOST_PLACES_NAMED]]
        if len(regions) > len(named):
            named.append(FURTHER_PLACES.format(count=len(regions) - len(named)))
        parts.append(WHERE.format(places=", ".join(named)))
    if difference.verdict != "identical":
        parts.append(SIMILARITY.format(similarity=difference.similarity))
    return " ".join(parts)


def name_place(region: Region, width: int, height: int) -> str:
    """A region's number and where it lies in a picture of this size."""
    left, top, right, bottom = region.box
    column, row = (left + right) * 3 // (2 * width), (top + bottom) * 3 // (2 * height)
    return f"{region.number} {PLACE_NAMES[min(row, 2)][min(column, 2)]}"


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
SAVED_FILE = "The file"
NOTHING_TO_SAVE = "There is nothing to save yet: ask something first."
NOT_IN_TURNS = (
    "In the file questions and answers do not take turns: give a conversation that was saved here."
)
LOADED = "Loaded"
LOADED_FROM = "Loaded; it was held with {model}"


def loaded(model: str, revision: str) -> str:
    """The line of figures of a conversation that was loaded."""
    return LOADED_FROM.format(model=f"{model} {revision[:12]}".strip()) if model else LOADED


def too_large_to_load(size: int, limit: int) -> str:
    """What is said of a saved file that this page would refuse to load."""
    return (
        f"The saved file has {size / 2**20:.1f} MB, and this page loads files up to "
        f"{limit / 2**20:.0f} MB: use fewer or smaller pictures, or raise --upload-limit."
    )


# What is going on before the first word.
WAITING_PLACE = "Waiting for its turn: number {number} of {total} in line…"
OPENING_IMAGE = "Opening image {number} of {total}…"
READING_IMAGE = "Reading image {number} of {total}…"
READING_QUESTION = "Reading the question…"
MEMORY_TAKES = "about {megabytes} MB of memory"
