"""Makes Markdown safe to render: what would load or send something elsewhere is text or a link.

The text may be the model's, a picture's print, a loaded file's, or hold a file's name. Gradio's
sanitizer keeps scripts out but lets images, media and forms of other sites in. Knows no component.
"""

import re
from typing import Final

# Fenced blocks, to their end or that of the text, and spans of code: nothing in them is markup.
CODE: Final = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n?(?:.*?^ {0,3}(?P=fence)[`~]*[ \t]*$|.*)"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).){1,5000}?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE | re.DOTALL,
)
# Tags, comments and declarations: all but those that only shape text, without attributes.
SHAPING: Final = r"/?(?:br|b|i|u|s|em|strong|sub|sup)\s*/?>"
TAG: Final = re.compile(rf"<(?=[a-zA-Z/!?])(?!{SHAPING}|https?://)")
IMAGE: Final = re.compile(r"!(?=\[)")
NAMELESS_IMAGE: Final = re.compile(r"!\[\s*\](?=\(\s*<?(?P<target>[^\s)>]+))")
# Gradio draws these blocks with a library that loads the pictures they name.
DIAGRAM: Final = re.compile(r"((?:`{3,}|~{3,})[ \t]*)(?=mermaid\b)", re.IGNORECASE)
DISARMED_DIAGRAM: Final = re.compile(r"((?:`{3,}|~{3,})[ \t]*)text (?=mermaid\b)", re.IGNORECASE)


def disarm(text: str) -> str:
    """Return Markdown whose HTML is shown as text and whose images are links.

    Code keeps its characters.
    """
    pieces = []
    end = 0
    for code in CODE.finditer(text):
        pieces += [disarm_prose(text[end : code.start()]), code[0]]
        end = code.end()
    return disarm_diagrams("".join([*pieces, disarm_prose(text[end:])]))


def disarm_prose(text: str) -> str:
    """Return Markdown without code whose HTML is shown as text and whose images are links."""
    return link_images(TAG.sub("&lt;", text))


def link_images(text: str) -> str:
    """Return Markdown with a link for each image; one without a name is named by its address.

    The mark becomes an entity: a backslash before it could be taken back by one that is there.
    """
    named = NAMELESS_IMAGE.sub(lambda found: f"![{found['target']}]", text)
    return IMAGE.sub("&#33;", named)


def disarm_diagrams(text: str) -> str:
    """Return Markdown whose diagrams are shown as their source."""
    return DIAGRAM.sub(r"\1text ", text)


def disarm_question(text: str) -> str:
    """Return a question, whose HTML is escaped, with links for images; see rearm_question."""
    return disarm_diagrams(link_images(text))


def rearm_question(text: str) -> str:
    """Return a question as it was before disarm_question, apart from names that it gave images."""
    return DISARMED_DIAGRAM.sub(r"\1", text).replace("&#33;[", "![")
