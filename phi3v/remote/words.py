"""What users are told about servers, in English; the page translates it."""

REFUSES_KEY = (
    "The server at {address} does not accept the key: set PHI3V_SERVER_KEY to the one it was "
    "started with."
)
REDIRECTS = (
    "The server at {address} redirects to another address, which is not followed: give its final "
    "address with --server."
)
NO_API = (
    "The server at {address} has no /v1 API (it answered {status}): give the address of an "
    "OpenAI-compatible server with --server."
)
UNREACHABLE = "The server at {address} cannot be reached."
FAILS = "The server at {address} failed with {status} ({message})."
SILENT = "The server at {address} has been silent for {seconds:.0f} s."
BROKE_OFF = "The server at {address} broke off before the answer was whole."
REFUSES = "The server at {address} refuses the request: {message}"
NOT_OFFERED = "The servers have no model {name}; they have: {known}."
BUSY = "The server at {address} takes no more requests now: try again in {seconds:.0f} s."

TRY_AGAIN = "{problem} Try again; if it stays so, look at the server's log."
GONE = "The last server has just gone: try again."
NO_SERVER = "No server answers. {problems} Start one, or give another address with --server."
NO_CHECKPOINT = (
    "The server at {address} calls its model {model}, which is no checkpoint that is known here: "
    "say with --model which one it is, as a Hugging Face id or a folder."
)
