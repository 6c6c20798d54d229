from .cleaning import clean_answer as clean_answer
from .conversation_file import Conversation as Conversation
from .conversation_file import load_conversation as load_conversation
from .conversation_file import save_conversation as save_conversation
from .formats import format_answer as format_answer
