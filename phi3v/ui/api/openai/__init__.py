"""The app as a server of OpenAI's chat API: /v1/chat/completions and /v1/models, and /health.

Knows that protocol and the stream of answers that the page has too; must not know the page's tabs.
"""
