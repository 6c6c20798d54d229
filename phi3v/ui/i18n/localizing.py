"""The page in its reader's language before anything of it is drawn.

Gradio builds a page once, and its browser side chooses a language by itself. So the page's own
words are exchanged on their way to the browser, which is told the language and its direction.
What is said later, in events, is translated where it is said: see phi3v.ui.i18n.languages.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import gradio as gr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phi3v.ui.i18n.labels import script_labels
from phi3v.ui.i18n.languages import (
    COOKIE,
    ENGLISH,
    Language,
    find_languages,
    language_of,
    translate,
)

# Where Gradio puts the page's configuration: into the page, and on its own.
CONFIG: Final = b"window.gradio_config = "
CONFIG_PATHS: Final = ("/config", "/config/")
# Properties of components whose texts people read.
READ: Final = ("label", "alt_text", "info", "placeholder", "value", "submit_btn", "headers")
# Gradio's own words follow the navigator. A page within another site's, as on a hosted Space, may
# keep only cookies that say so.
HEAD: Final = """<head><script>
Object.defineProperty(navigator, "language", {get: () => "CODE"});
Object.defineProperty(navigator, "languages", {get: () => ["CODE"]});
function chooseLanguage(code) {
  const kept = location.protocol === "https:" ? "SameSite=None;Secure;Partitioned" : "SameSite=Lax";
  document.cookie = `COOKIE=${code};path=/;max-age=31536000;${kept}`;
  location.reload();
}
</script>"""

CSS: Final = """
.heading { align-items: center; justify-content: space-between; gap: var(--size-2); }
.heading > .block { flex: none; width: auto; min-width: 0; padding: 0; }
.heading h1 { white-space: nowrap; }
.languages .html-container { padding: 0; }
.languages nav { display: flex; gap: var(--size-2); }
.languages button {
  padding: var(--size-1); font-size: var(--text-sm); color: var(--body-text-color-subdued);
}
.languages [aria-current] { font-weight: 600; color: var(--body-text-color); }
.who { min-height: 3em; }
/* What people and the network write has its own direction, paragraph by paragraph. */
.gradio-container :is(textarea, input:not([type="range"], [role="combobox"])),
.gradio-container :is(textarea, input)::placeholder,
.gradio-container :is(.message, .written) :is(p, li, td, th, h1, h2, h3, h4) {
  unicode-bidi: plaintext; text-align: start;
}
.gradio-container td div { unicode-bidi: plaintext; }
/* Gradio's own word on what it does ("processing") is English whatever the language; the line of
   figures says the same in the reader's. */
html:not([lang="en"]) .progress-text { display: none; }
.gradio-container :is(code, pre) { direction: ltr; unicode-bidi: isolate; text-align: left; }
/* Gradio says of each part that it is written from the left, and places some things there. */
[dir="rtl"] .gradio-container [dir="ltr"]:not(.languages *, .slider) { direction: rtl; }
[dir="rtl"] label.float { left: auto; right: var(--block-label-margin); }
[dir="rtl"] label[data-testid="block-label"] > span, [dir="rtl"] .label > svg {
  margin: 0 0 0 var(--size-2);
}
[dir="rtl"] .icon-button-wrapper.top-panel { right: auto; left: var(--block-label-margin); }
[dir="rtl"] .secondary-wrap > .icon-wrap { right: auto; left: var(--size-5); }
[dir="rtl"] .label-wrap > .icon { scale: -1 1; }
/* What is measured from the left stays so: a slider and its two ends, two pictures side by side. */
[dir="rtl"] :is(.slider_input_container, .file-preview :is(.filename, .download)) {
  direction: ltr; justify-content: flex-end;
}
"""


def lay_out_switch() -> None:
    """Place the languages, each by its own name; a choice is kept, and the page loaded anew."""
    buttons = "".join(
        f'<button type="button" lang="{language.code}" dir="{language.direction}" '
        f"onclick=\"chooseLanguage('{language.code}')\">{language.name}</button>"
        for language in find_languages().values()
    )
    mark = (
        "element.querySelector(`[lang=${document.documentElement.lang}]`)"
        "?.setAttribute('aria-current', 'true')"
    )
    gr.HTML(
        f"<nav>{buttons}</nav>",
        js_on_load=mark,
        elem_classes="languages",
        apply_default_css=False,
        container=False,
    )


class Localizing:
    """ASGI middleware that serves the page in the language of who asks for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through but the page and its configuration."""
        is_page = scope["type"] == "http" and scope["method"] == "GET"
        if is_page and scope["path"] == "/":
            send = Rewriting(send, "text/html", localize_page, language_of(Request(scope)))
        elif is_page and scope["path"] in CONFIG_PATHS:
            send = Rewriting(send, "application/json", localize_json, language_of(Request(scope)))
        await self.app(scope, receive, send)


class Rewriting:
    """A `send` that holds an answer back until it is whole, and then sends it rewritten."""

    def __init__(
        self,
        send: Send,
        content_type: str,
        rewrite: Callable[[bytes, Language], bytes],
        language: Language,
    ) -> None:
        self.send = send
        self.content_type = content_type
        self.rewrite = rewrite
        self.language = language
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        """Keep the beginning and the body; send both with the last piece."""
        if message["type"] == "http.response.start":
            if (
                Headers(raw=message["headers"])
                .get("content-type", "")
                .startswith(self.content_type)
            ):
                self.start = message
                return
        elif message["type"] == "http.response.body" and self.start is not None:
            self.body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = self.rewrite(self.body, self.language)
            headers = MutableHeaders(raw=self.start["headers"])
            headers["content-length"] = str(len(body))
            headers["content-language"] = self.language.code
            headers.add_vary_header("Accept-Language, Cookie")
            await self.send(self.start)
            message = {"type": "http.response.body", "body": body}
        await self.send(message)


def localize_page(page: bytes, language: Language) -> bytes:
    """A page of Gradio's in a language; also its login page, which has no words of ours."""
    start = page.find(CONFIG)
    if start >= 0:
        start += len(CONFIG)
        length = json.JSONDecoder().raw_decode(page[start:].decode())[1]
        config = page[start:].decode()[:length].encode()
        localized = localize_json(config, language)
        page = page[:start] + localized + page[start + len(config) :]
    root = f'<html lang="{language.code}" dir="{language.direction}"'
    page = re.sub(rb'<html\s+lang="en"', root.encode(), page, count=1)
    head = HEAD.replace("CODE", language.code).replace("COOKIE", COOKIE)
    return page.replace(b"<head>", (head + script_labels(language)).encode(), 1)


def localize_json(config: bytes, language: Language) -> bytes:
    """The configuration of a page in a language, fit to stand in a page's script."""
    if language == ENGLISH:
        return config
    found = json.loads(config)
    for component in found.get("components", []):
        localize_properties(component["props"], language)
    written = json.dumps(found)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written.encode()


def localize_properties(properties: dict[str, Any], language: Language) -> None:
    """Translate what people read of a component; other values stay what they are."""
    if "rtl" in properties:
        properties["rtl"] = language.direction == "rtl"
    for name in READ:
        value = properties.get(name)
        if isinstance(value, str):
            properties[name] = translate(value, language)
        elif name == "headers" and isinstance(value, list):
            properties[name] = [translate(header, language) for header in value]
    if isinstance(properties.get("choices"), list):
        properties["choices"] = [
            (translate(label, language), value) for label, value in properties["choices"]
        ]
