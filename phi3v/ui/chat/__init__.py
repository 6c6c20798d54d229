"""Chat tabs: the conversation of one session about its pictures."""
