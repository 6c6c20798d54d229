"""A results file, one line of JSON per page, that survives an interruption at any byte.

Each line is synced to disk before the next page begins; an incomplete last line is truncated when
the file is opened again. A page is identified by a key of its content and the request, not by its
path. Must not know how a record is made.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, Self

from phi3v.request import RequestError

Record = dict[str, Any]


class ResultsFile:
    """Appends records and looks up existing ones by key; a context manager.

    Raises RequestError if the file cannot be written or has lines that are no results.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, Record] = {}
        self._unclaimed: Counter[str] = Counter()
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise RequestError(
                f"{path} cannot be written ({error.strerror}): name another --output."
            ) from error
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._answers)

    def claim(self, key: str) -> bool:
        """Claim one of the file's earlier lines with this key; return False if none is left.

        Two equal images in one batch have a line each, so each claims its own.
        """
        self._unclaimed[key] -= 1
        return self._unclaimed[key] >= 0

    def find(self, key: str) -> Record | None:
        """Return a record of equal content and request; None if there is none."""
        return self._answers.get(key)

    def append(self, key: str, record: Record) -> None:
        """Append a record and sync it to disk."""
        record = {"key": key, **record}
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._answers[key] = record

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            is_torn = not line.endswith(b"\n")
            try:
                record = json.loads(line)
                key = record["key"]
            except (ValueError, TypeError, KeyError) as error:
                if is_torn:
                    break
                raise RequestError(
                    f"Line {number} of {self.path} is no result of this program, and the file is "
                    "left as it is: name another --output."
                ) from error
            if is_torn:  # valid JSON, but the end of the line is missing
                break
            self._answers[key] = record
            self._unclaimed[key] += 1
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
