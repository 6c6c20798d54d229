"""From a request's body to the engine's Request, with its pictures as files.

Knows the protocol and requests; knows nothing of connections.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from phi3v.documents.download import fetch_file
from phi3v.request import Request, RequestError, Role, Sampling, Turn
from phi3v.settings import Settings
from phi3v.ui import words
from phi3v.ui.api import words as api_words
from phi3v.ui.api.data_urls import TooLargeError, read_data_url
from phi3v.ui.api.mcp_tools import MAX_PICTURES
from phi3v.ui.api.openai.bodies import ChatBody, ImagePart, Message, TextPart
from phi3v.ui.api.openai.errors import ApiError
from phi3v.ui.i18n.languages import translate

ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",  # OpenAI's newer name for it
    "user": "user",
    "assistant": "assistant",
}


def build_request(
    body: ChatBody, settings: Settings, folder: Path, check_wanted: Callable[[], None]
) -> Request:
    """Return the request that a body asks for; its pictures are saved in the folder.

    Pictures are files, as on the page, so that those of queued requests fill no memory.
    check_wanted is called before each one and raises where nobody waits any more. Raises ApiError
    where a picture cannot be had.
    """
    save_picture = PictureFolder(folder, settings.upload_limit_bytes, check_wanted).save
    turns = []
    for index, message in enumerate(body.messages):
        places = [
            (part, f"messages[{index}].content[{at}]") for at, part in enumerate(message.content)
        ]
        images = [
            save_picture(part.image_url.url, place)
            for part, place in places
            if isinstance(part, ImagePart)
        ]
        turns.append(Turn(ROLES[message.role], join_text(message), tuple(images)))
    asked = body.max_completion_tokens or body.max_tokens or settings.max_new_tokens
    seed = None if body.seed == -1 else body.seed  # as in the settings of the page
    crops = body.mm_processor_kwargs.num_crops
    if crops is None and settings.num_crops != "auto":
        crops = settings.num_crops
    return Request(
        tuple(turns),
        Sampling(asked, body.temperature, body.top_p, seed),
        crops,
        is_continued=body.continue_final_message,
        wants_probabilities=body.logprobs,
        stop_strings=tuple(body.stop),
        stop_token_ids=tuple(body.stop_token_ids),
    )


def join_text(message: Message) -> str:
    """Return a message's text; in the prompt it stands behind all of the message's pictures."""
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


class PictureFolder:
    """Saves the pictures of one request as files that are named by their numbers."""

    def __init__(self, folder: Path, limit_bytes: int, check_wanted: Callable[[], None]) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.check_wanted = check_wanted
        self.count = 0

    def save(self, url: str, place: str) -> Path:
        """Save the picture of a data: URL or a public web address and return its path.

        Raises ApiError, with the picture's place in the body, if it cannot be had.
        """
        self.check_wanted()
        self.count += 1
        name = words.picture_name(self.count)
        path = self.folder / str(name)
        try:
            if self.count > MAX_PICTURES:
                raise RequestError(api_words.too_many(self.count, MAX_PICTURES))
            if url[:5].lower() == "data:":
                content = read_data_url(url, name, self.limit_bytes)
            else:
                content, _ = fetch_file(url, limit_bytes=self.limit_bytes)
        except RequestError as error:
            status = 413 if isinstance(error, TooLargeError) else 400
            raise ApiError(status, translate(error.text), place) from error
        path.write_bytes(content)
        return path
