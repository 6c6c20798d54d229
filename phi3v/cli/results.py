"""A file of results, one line of JSON for each page, that survives being interrupted at any byte.

A line is on the disk before the next page begins; a line that was torn is cut off when the file is
opened again. Pages are known by a key of their content and the request, not by their place.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, Self

from phi3v.request import RequestError

Record = dict[str, Any]


class ResultsFile:
    """Appends records and knows which there are; use it in a `with`.

    Raises RequestError where the file cannot be written or is no file of results.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, Record] = {}
        self._left: Counter[str] = Counter()
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

    def take(self, key: str) -> bool:
        """Whether the file has a line for this page that no page was counted for yet.

        Of two equal pictures in one batch each has its own line.
        """
        self._left[key] -= 1
        return self._left[key] >= 0

    def find(self, key: str) -> Record | None:
        """A record of equal content and request, if there is one."""
        return self._answers.get(key)

    def append(self, key: str, record: Record) -> None:
        """Write a record and wait until it is on the disk."""
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
            if is_torn:  # whole but for its end: what was torn off is the end of line
                break
            self._answers[key] = record
            self._left[key] += 1
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
