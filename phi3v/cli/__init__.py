"""The command line: describe, ocr, compare and chat, for terminals and pipes.

Must not know the app's page; imports the model's packages only when a command needs them.
"""
