"""A saved conversation is loaded again and continues with the same answers."""

import zipfile
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image
from support.fake_engine import FakeEngine
from support.models import build_processor, build_random_model

from phi3v.inference.engine import Engine
from phi3v.request import Request, Sampling, Turn
from phi3v.results.conversation_file import Conversation, save_conversation
from phi3v.tasks import DESCRIBE
from phi3v.ui import words
from phi3v.ui.chat.conversation import Chat, ask, pictures_of
from phi3v.ui.chat.transfer import load_chat, name_checkpoint, save_chat

SETTINGS = (64, 0.0, 1.0, 7, "4")


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Messages that the page would have shown."""
    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    monkeypatch.setattr(gr, "Info", lambda text, **_: shown.append(text))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return shown


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A photo with a rotated EXIF orientation and a camera's name in its metadata."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a secret camera"
    path = tmp_path / "photo.jpg"
    Image.radial_gradient("L").resize((60, 40)).convert("RGB").save(path, exif=exif)
    return str(path)


def talk_about(photo: str) -> Chat:
    return Chat((Turn("user", "What?", (photo,)), Turn("assistant", "That.")))


def save(chat: Chat, shown: list[str], limit: int = 10**9) -> str:
    pairs = [(file, words.picture_name(i)) for i, file in enumerate(shown, 1)]
    return save_chat(lambda: ("some/model", "abc"), limit, chat, pairs, *SETTINGS).value["path"]


def test_turns_pictures_and_settings_come_back(photo: str) -> None:
    path = save(talk_about(photo), [photo])
    shown, chat, messages, question, note, *settings, _, _ = load_chat(DESCRIBE, path, Chat())
    assert [(turn.role, turn.text) for turn in chat.turns] == [
        ("user", "What?"),
        ("assistant", "That."),
    ]
    assert shown == [(chat.turns[0].images[0], "Image 1")]
    assert Image.open(shown[0][0]).size == (40, 60)
    assert messages[0]["content"] == "Image 1\nWhat?"
    assert (question, note) == ("", "Loaded; it was held with some/model abc")
    longest, temperature, top_p, seed, crops = settings
    assert (longest.value, temperature, top_p, seed, crops.value) == (64, 0.0, 1.0, 7, "4")


def test_a_loaded_conversation_continues_with_the_same_answer(photo: str) -> None:
    processor = build_processor()
    engine = Engine(build_random_model(processor, seed=3), processor, "random")
    path = save(talk_about(photo), [photo])
    shown, loaded, *_ = load_chat(DESCRIBE, path, Chat())

    def answer(chat: Chat, pictures: list[str]) -> str:
        turns = ask(DESCRIBE, chat, pictures, "And now?").turns
        return "".join(c.text for c in engine.stream(Request(turns, Sampling(12), 1)))

    before = answer(talk_about(photo), [photo])
    assert answer(loaded, [file for file, _ in shown]) == before


def test_no_metadata_leaves_with_a_conversation(photo: str) -> None:
    path = save(talk_about(photo), [photo])
    with zipfile.ZipFile(path) as archive:
        assert not any(b"secret" in archive.read(name) for name in archive.namelist())
    shown, *_ = load_chat(DESCRIBE, path, Chat())
    assert not Image.open(shown[0][0]).getexif()


def test_a_question_without_answer_is_loaded_into_its_box(photo: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (9, 9))
    turns = (*talk_about(photo).turns, Turn("user", "And this?", (picture,)))
    path = tmp_path / "talk.zip"
    save_conversation(Conversation(turns), path)
    shown, chat, _, question, note, *_ = load_chat(DESCRIBE, str(path), Chat())
    assert (len(chat.turns), question, len(shown), note) == (2, "And this?", 2, "Loaded")
    assert ask(DESCRIBE, chat, [file for file, _ in shown], question).turns[-1].images == (
        shown[1][0],
    )


def test_while_an_answer_is_written_what_was_answered_is_saved(photo: str) -> None:
    chat = Chat((*talk_about(photo).turns, Turn("user", "Now?")), "ticket")
    _, loaded, *_ = load_chat(DESCRIBE, save(chat, [photo]), Chat())
    assert len(loaded.turns) == 2


def test_while_an_answer_is_written_nothing_is_loaded(photo: str, notes: list[str]) -> None:
    path = save(talk_about(photo), [photo])
    assert load_chat(DESCRIBE, path, Chat((), "ticket")) == (gr.skip(),) * 12
    assert notes == [words.BUSY]


def test_without_a_conversation_there_is_nothing_to_save(notes: list[str]) -> None:
    assert save_chat(lambda: ("", ""), 1, Chat(), None, *SETTINGS) == gr.skip()
    assert notes == [words.NOTHING_TO_SAVE]


def test_a_file_of_another_kind_is_reported(tmp_path: Path, notes: list[str]) -> None:
    path = tmp_path / "notes.zip"
    path.write_text("Dear diary")
    assert load_chat(DESCRIBE, str(path), Chat()) == (gr.skip(),) * 12
    assert notes[0].startswith("The file is no saved conversation, or a damaged one")


def test_answers_without_questions_are_refused(tmp_path: Path, notes: list[str]) -> None:
    path = tmp_path / "talk.zip"
    save_conversation(Conversation((Turn("assistant", "Ha."),)), path)
    load_chat(DESCRIBE, str(path), Chat())
    assert notes == [words.NOT_IN_TURNS]


def test_a_file_too_large_to_load_again_is_reported(photo: str, notes: list[str]) -> None:
    save(talk_about(photo), [photo], limit=100)
    assert notes[0].startswith("The saved file has 0.0 MB, and this page loads files up to 0 MB")


def test_the_path_of_a_model_folder_is_not_saved(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.name = str(tmp_path)
    assert name_checkpoint(engine) == (tmp_path.name, "")


def test_the_pictures_of_a_loaded_conversation_are_numbered_on(photo: str) -> None:
    shown, chat, *_ = load_chat(DESCRIBE, save(talk_about(photo), [photo]), Chat())
    assert pictures_of(chat.turns) == tuple(file for file, _ in shown)
