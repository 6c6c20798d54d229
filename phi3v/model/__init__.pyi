from .image_processing import Phi3VImageProcessor as Phi3VImageProcessor
from .modeling import Phi3VConfig as Phi3VConfig
from .modeling import Phi3VForCausalLM as Phi3VForCausalLM
from .modeling import Phi3VModel as Phi3VModel
from .processing import Phi3VProcessor as Phi3VProcessor
