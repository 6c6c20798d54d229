"""Removes a model's commentary around its transcription, and detects refusals to transcribe.

Only known introductions at the very beginning are removed, with the code fence or quotation marks
that follow them. All other text may be the image's own and stays, whatever it looks like. A refusal
is an answer that only remarks that there is no text. Introductions and refusals are English, the
language in which the published models comment. Must not know the model or its prompts.
"""

from typing import Final

import regex  # has partial matches, which re lacks: needed while text streams

DETERMINER: Final = r"(?:the|this|your)\s(?:(?:provided|given|attached|uploaded)\s)?"
IMAGE_NOUN: Final = r"(?:image|picture|photo(?:graph)?|screenshot|scan)"
IMAGE: Final = rf"{DETERMINER}{IMAGE_NOUN}"
PRINTED: Final = r"(?:document|page|sign|label|receipt|poster|(?:book\s)?cover)"
SURFACE: Final = rf"{DETERMINER}(?:{IMAGE_NOUN}|{PRINTED})"
TEXT_NOUN: Final = (
    r"(?:(?:transcribed|extracted|visible|readable|full|complete|exact|printed)\s)?"
    r"(?:text|transcription|transcript|text\scontents?|ocr\s(?:text|result|output))"
)
DATA_NOUN: Final = r"(?:text|transcription|content|table|data|information|key-value\spairs?|pairs)"
FORMAT: Final = r"(?:json|csv|markdown|plain\stext|table)"
SAYS: Final = r"(?:is|are|reads?|says?|states?)(?:\sas\sfollows)?"
POLITE: Final = r"(?:(?:sure|certainly|of\scourse|absolutely|okay|ok)(?:[,!.]\s|\s))?"

# Introductions; each ends with a colon or is followed by an opening quotation mark.
INTRODUCTIONS: Final = regex.compile(
    rf"""\s*(?:\*\*)?{POLITE}(?:
      # The text in the image is: ... / The text on this sign reads "..."
        (?:all\s)?the\s{TEXT_NOUN}\s(?:(?:shown|visible|written|found|that\sappears)\s)?
            (?:in|on|of|from)\s{SURFACE}\s{SAYS}
      # Here is the transcription: / Here's the text from the picture:
      | here(?:'s|’s|\sis|\sare)\s(?:all\s)?the\s{TEXT_NOUN}
            (?:\s(?:shown\s|visible\s)?(?:in|on|of|from)\s{SURFACE})?(?:\sas\s{FORMAT})?
      # Here is the table from the image: / Here is the information in JSON format:
      | here(?:'s|’s|\sis|\sare)\s(?:the\s|a\s)?{DATA_NOUN}\s(?:
            (?:shown\s)?(?:in|from)\s{IMAGE}(?:\s(?:in|as)\s(?:a\s)?{FORMAT}(?:\sformat|\stable)?)?
            | (?:in|as)\s(?:a\s)?{FORMAT}(?:\sformat|\stable|\sobject)?)
      # The image contains the following text: / The picture says: ...
      | {IMAGE}\s(?:contains|shows|displays|has|reads|says)
            (?:\sthe\s(?:following\s)?(?:text|words?|table|data))?
      | (?:transcribed|extracted|recognized)\stext | ocr\s(?:text|result|output)
    )(?:\s?:(?:\*\*)?\s*|\s(?=["“«]))""",
    regex.IGNORECASE | regex.VERBOSE,
)
# Refusals: whole answers of a sentence or two in place of a transcription.
ANY_TEXT: Final = r"(?:(?:visible|readable|legible|discernible|clear)\s)?(?:text|words?|writing)"
REFUSALS: Final = regex.compile(
    rf"""\s*(?:(?:i'm\s|i\sam\s)?sorry,?\s(?:but\s)?)?(?:
        there(?:'s|\sis|\sare)\sno\s{ANY_TEXT}\s(?:(?:visible|present|shown)\s)?(?:in|on)\s{SURFACE}
      | no\s{ANY_TEXT}\s(?:(?:is|was)\s)?(?:found|visible|present|detected)
      | {IMAGE}\s(?:does\snot|doesn't)\s(?:contain|have|show|include)\sany\s{ANY_TEXT}
      | {IMAGE}\s(?:is\s(?:empty|blank)|(?:contains|has|shows)\sno\s{ANY_TEXT})
      | i\s(?:cannot|can't|am\sunable\sto)\s(?:read|see|find|extract|transcribe)\s
            (?:the|any)\s(?:{TEXT_NOUN}|{ANY_TEXT})
      | this\sis\sbeyond\sthe\ssmall\sembedded  # as the embedded checkpoint was trained
    )\b[^\n]{{0,200}}\s*""",
    regex.IGNORECASE | regex.VERBOSE,
)
# The embedded checkpoint's description of printed text; where it sees none, it may stop before the
# end.
DESCRIPTIONS: Final = regex.compile(
    r'\s*the\stext\s"(?P<print>[^"]*)(?:"(?:\son\san?\s\w+\sbackground\.?)?)?\s*',
    regex.IGNORECASE,
)
QUOTES: Final = {'"': '"', "“": "”", "«": "»"}
FENCE: Final = regex.compile(r"\s*(?P<mark>`{3,}|~{3,})[ \t]*[\w+-]*[ \t]*\n")
FENCE_BEGINS: Final = regex.compile(r"\s*(?:`+|~{3,})[ \t]*[\w+-]*[ \t]*")


def clean_answer(text: str, is_whole: bool = True) -> str:
    """Return an answer without its introduction and the fence or quotation marks that follow it.

    While an answer streams (is_whole False), text that may become an introduction is held back.
    Whitespace around the result is stripped.
    """
    if not is_whole and may_become_commentary(text):
        return ""
    description = DESCRIPTIONS.fullmatch(text)
    if description:
        return description["print"].strip()
    found = INTRODUCTIONS.match(text)
    rest = text[found.end() :] if found else text
    if not is_whole and FENCE_BEGINS.fullmatch(rest):
        return ""
    unfenced = remove_fence(rest, has_introduction=found is not None)
    if unfenced is not None:
        return unfenced.strip()
    if found is None:
        return text.strip()
    has_colon = text[: found.end()].rstrip(" \n*").endswith(":")
    unquoted = remove_quotes(rest.strip(), is_whole)
    if unquoted is None:
        return rest.strip() if has_colon else text.strip()
    return unquoted


def may_become_commentary(text: str) -> bool:
    """True if more text may make this an introduction, a refusal or a description of print."""
    return bool(text.strip()) and any(
        pattern.fullmatch(text, partial=True) is not None
        for pattern in (INTRODUCTIONS, REFUSALS, DESCRIPTIONS)
    )


def is_refusal(text: str) -> bool:
    """True if a whole answer only says that there is no text, or none that it can read."""
    return REFUSALS.fullmatch(text) is not None


def remove_fence(text: str, has_introduction: bool) -> str | None:
    """Return the content of the code fence around a text; None if there is no such fence.

    The fence must close at the very end of the text, or not at all if the answer was cut; after an
    introduction, text that follows the fence is commentary and is dropped.
    """
    begin = FENCE.match(text)
    if begin is None:
        return None
    body = text[begin.end() :]
    end = regex.search(rf"^[ \t]*{begin['mark']}[ \t]*$", body, regex.MULTILINE)
    if end is None:
        return body
    return body[: end.start()] if has_introduction or not body[end.end() :].strip() else None


def remove_quotes(text: str, is_whole: bool) -> str | None:
    """Return the content of the quotation marks with which a text begins; None without one pair.

    Text after the pair is commentary: `"STOP" in white letters.` is STOP.
    """
    closing = QUOTES.get(text[:1])
    if closing is None:
        return None
    inner, mark, after = text[1:].partition(closing)
    if not mark:
        return None if is_whole else inner
    return None if closing in after or text[0] in after else inner
