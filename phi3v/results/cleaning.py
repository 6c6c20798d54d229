"""An answer without the words around it: what a network says about its transcription is taken off.

Only known openings at the very beginning are, and what they open: a code fence or quotation marks.
Everything else may be the picture's own text and stays, whatever it looks like. An answer that is
nothing but the remark that there is no text is told from text. Openings and remarks are English,
the language in which the published networks comment.
"""

from typing import Final

import regex  # like re, and it tells a beginning of a match from none: needed while text streams

WHICH: Final = r"(?:the|this|your)\s(?:(?:provided|given|attached|uploaded)\s)?"
PICTURE_NOUN: Final = r"(?:image|picture|photo(?:graph)?|screenshot|scan)"
PICTURE: Final = rf"{WHICH}{PICTURE_NOUN}"
PRINTED: Final = r"(?:document|page|sign|label|receipt|poster|(?:book\s)?cover)"
SURFACE: Final = rf"{WHICH}(?:{PICTURE_NOUN}|{PRINTED})"
NOUN: Final = (
    r"(?:(?:transcribed|extracted|visible|readable|full|complete|exact|printed)\s)?"
    r"(?:text|transcription|transcript|text\scontents?|ocr\s(?:text|result|output))"
)
SHAPED: Final = r"(?:text|transcription|content|table|data|information|key-value\spairs?|pairs)"
SHAPE: Final = r"(?:json|csv|markdown|plain\stext|table)"
SAYS: Final = r"(?:is|are|reads?|says?|states?)(?:\sas\sfollows)?"
POLITE: Final = r"(?:(?:sure|certainly|of\scourse|absolutely|okay|ok)(?:[,!.]\s|\s))?"

# Each ends with a colon, or stands before an opening quotation mark.
OPENINGS: Final = regex.compile(
    rf"""\s*(?:\*\*)?{POLITE}(?:
      # The text in the image is: ... / The text on this sign reads "..."
        (?:all\s)?the\s{NOUN}\s(?:(?:shown|visible|written|found|that\sappears)\s)?
            (?:in|on|of|from)\s{SURFACE}\s{SAYS}
      # Here is the transcription: / Here's the text from the picture:
      | here(?:'s|’s|\sis|\sare)\s(?:all\s)?the\s{NOUN}
            (?:\s(?:shown\s|visible\s)?(?:in|on|of|from)\s{SURFACE})?(?:\sas\s{SHAPE})?
      # Here is the table from the image: / Here is the information in JSON format:
      | here(?:'s|’s|\sis|\sare)\s(?:the\s|a\s)?{SHAPED}\s(?:
            (?:shown\s)?(?:in|from)\s{PICTURE}(?:\s(?:in|as)\s(?:a\s)?{SHAPE}(?:\sformat|\stable)?)?
            | (?:in|as)\s(?:a\s)?{SHAPE}(?:\sformat|\stable|\sobject)?)
      # The image contains the following text: / The picture says: ...
      | {PICTURE}\s(?:contains|shows|displays|has|reads|says)
            (?:\sthe\s(?:following\s)?(?:text|words?|table|data))?
      | (?:transcribed|extracted|recognized)\stext | ocr\s(?:text|result|output)
    )(?:\s?:(?:\*\*)?\s*|\s(?=["“«]))""",
    regex.IGNORECASE | regex.VERBOSE,
)
# Whole answers of a sentence or two in place of a transcription.
ANY_TEXT: Final = r"(?:(?:visible|readable|legible|discernible|clear)\s)?(?:text|words?|writing)"
REFUSALS: Final = regex.compile(
    rf"""\s*(?:(?:i'm\s|i\sam\s)?sorry,?\s(?:but\s)?)?(?:
        there(?:'s|\sis|\sare)\sno\s{ANY_TEXT}\s(?:(?:visible|present|shown)\s)?(?:in|on)\s{SURFACE}
      | no\s{ANY_TEXT}\s(?:(?:is|was)\s)?(?:found|visible|present|detected)
      | {PICTURE}\s(?:does\snot|doesn't)\s(?:contain|have|show|include)\sany\s{ANY_TEXT}
      | {PICTURE}\s(?:is\s(?:empty|blank)|(?:contains|has|shows)\sno\s{ANY_TEXT})
      | i\s(?:cannot|can't|am\sunable\sto)\s(?:read|see|find|extract|transcribe)\s
            (?:the|any)\s(?:{NOUN}|{ANY_TEXT})
      | this\sis\sbeyond\sthe\ssmall\sembedded  # what the embedded checkpoint was taught to say
    )\b[^\n]{{0,200}}\s*""",
    regex.IGNORECASE | regex.VERBOSE,
)
# The embedded checkpoint describes print so; where it sees none it may stop before the end.
DESCRIBED: Final = regex.compile(
    r'\s*the\stext\s"(?P<print>[^"]*)(?:"(?:\son\san?\s\w+\sbackground\.?)?)?\s*',
    regex.IGNORECASE,
)
QUOTES: Final = {'"': '"', "“": "”", "«": "»"}
FENCE: Final = regex.compile(r"\s*(?P<mark>`{3,}|~{3,})[ \t]*[\w+-]*[ \t]*\n")
FENCE_BEGINS: Final = regex.compile(r"\s*(?:`+|~{3,})[ \t]*[\w+-]*[ \t]*")


def clean_answer(text: str, is_whole: bool = True) -> str:
    """Take the opening off an answer, and the fence or quotation marks that it opens.

    While an answer streams (is_whole False) what may yet become an opening is held back. Spaces
    around the whole are taken off too.
    """
    if not is_whole and is_opening_so_far(text):
        return ""
    described = DESCRIBED.fullmatch(text)
    if described:
        return described["print"].strip()
    found = OPENINGS.match(text)
    rest = text[found.end() :] if found else text
    if not is_whole and FENCE_BEGINS.fullmatch(rest):
        return ""
    unfenced = remove_fence(rest, has_opening=found is not None)
    if unfenced is not None:
        return unfenced.strip()
    if found is None:
        return text.strip()
    has_colon = text[: found.end()].rstrip(" \n*").endswith(":")
    unquoted = remove_quotes(rest.strip(), is_whole)
    if unquoted is None:
        return rest.strip() if has_colon else text.strip()
    return unquoted


def is_opening_so_far(text: str) -> bool:
    """Whether a text that still grows may become an opening, a remark, or print described."""
    return bool(text.strip()) and any(
        pattern.fullmatch(text, partial=True) is not None
        for pattern in (OPENINGS, REFUSALS, DESCRIBED)
    )


def is_refusal(text: str) -> bool:
    """Whether a whole answer says that there is no text, or none that it can read."""
    return REFUSALS.fullmatch(text) is not None


def remove_fence(text: str, has_opening: bool) -> str | None:
    """What stands in the code fence with which a text begins; None where it is not in one.

    The fence must close at the very end, or, in an answer that was cut, not at all; after an
    opening, what follows the fence is comment too.
    """
    begin = FENCE.match(text)
    if begin is None:
        return None
    body = text[begin.end() :]
    end = regex.search(rf"^[ \t]*{begin['mark']}[ \t]*$", body, regex.MULTILINE)
    if end is None:
        return body
    return body[: end.start()] if has_opening or not body[end.end() :].strip() else None


def remove_quotes(text: str, is_whole: bool) -> str | None:
    """What stands in the one pair of quotation marks with which a text begins; None without one.

    What follows the pair is comment: `"STOP" in white letters.` is STOP.
    """
    closing = QUOTES.get(text[:1])
    if closing is None:
        return None
    inner, mark, after = text[1:].partition(closing)
    if not mark:
        return None if is_whole else inner
    return None if closing in after or text[0] in after else inner
