"""Middleware that translates the page while it is served, before the browser renders anything.

Gradio builds a page once for all users, and its frontend chooses a language by itself. So the
page's own texts are replaced in the response, and the language and its direction are set in the
HTML. Messages of later events are translated by their handlers: see phi3v.ui.i18n.languages.
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

# Gradio serves the page's configuration inside the page and at these paths.
CONFIG: Final = b"window.gradio_config = "
CONFIG_PATHS: Final = ("/config", "/config/")
# Properties of components with text for users.
TRANSLATED: Final = ("label", "alt_text", "info", "placeholder", "value", "submit_btn", "headers")
# Gradio's own words follow navigator.language. In a page embedded in another site, as on a hosted
# Space, browsers accept only cookies with SameSite=None and Partitioned.
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
/* Text by users and the model has its own direction, paragraph by paragraph. */
.gradio-container :is(textarea, input:not([type="range"], [role="combobox"])),
.gradio-container :is(textarea, input)::placeholder,
.gradio-container :is(.message, .written) :is(p, li, td, th, h1, h2, h3, h4) {
  unicode-bidi: plaintext; text-align: start;
}
.gradio-container td div { unicode-bidi: plaintext; }
/* Gradio's own progress text ("processing") is English in every language; the status line says
   the same in the user's. */
html:not([lang="en"]) .progress-text { display: none; }
.gradio-container :is(code, pre) { direction: ltr; unicode-bidi: isolate; text-align: left; }
/* Gradio sets dir="ltr" on each component, and positions some elements on the left. */
[dir="rtl"] .gradio-container [dir="ltr"]:not(.languages *, .slider) { direction: rtl; }
[dir="rtl"] label.float { left: auto; right: var(--block-label-margin); }
[dir="rtl"] label[data-testid="block-label"] > span, [dir="rtl"] .label > svg {
  margin: 0 0 0 var(--size-2);
}
[dir="rtl"] .icon-button-wrapper.top-panel { right: auto; left: var(--block-label-margin); }
[dir="rtl"] .secondary-wrap > .icon-wrap { right: auto; left: var(--size-5); }
[dir="rtl"] .label-wrap > .icon { scale: -1 1; }
/* What is measured from the left stays so: a slider and its ends, two pictures side by side. */
[dir="rtl"] :is(.slider_input_container, .file-preview :is(.filename, .download)) {
  direction: ltr; justify-content: flex-end;
}
"""


def lay_out_switch() -> None:
    """Add a button for each language; a click stores the choice in a cookie and reloads."""
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
    """ASGI middleware that serves the page in the language of its request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite responses with the page or its configuration; pass all others through."""
        is_page = scope["type"] == "http" and scope["method"] == "GET"
        if is_page and scope["path"] == "/":
            language = language_of(Request(scope))
            send = RewritingSend(send, "text/html", localize_page, language)
        elif is_page and scope["path"] in CONFIG_PATHS:
            language = language_of(Request(scope))
            send = RewritingSend(send, "application/json", localize_json, language)
        await self.app(scope, receive, send)


class RewritingSend:
    """An ASGI `send` that buffers a response until it is complete, then sends it rewritten."""

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
        """Buffer the start and body of a response; send both with the last part of the body."""
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
    """Return a page's HTML in a language; the login page, which has no configuration, too."""
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
    """Return a page's configuration in a language, escaped for use inside a script element."""
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
    """Translate the user-visible properties of a component in place, and set its direction."""
    if "rtl" in properties:
        properties["rtl"] = language.direction == "rtl"
    for name in TRANSLATED:
        value = properties.get(name)
        if isinstance(value, str):
            properties[name] = translate(value, language)
        elif name == "headers" and isinstance(value, list):
            properties[name] = [translate(header, language) for header in value]
    if isinstance(properties.get("choices"), list):
        properties["choices"] = [
            (translate(label, language), value) for label, value in properties["choices"]
        ]
