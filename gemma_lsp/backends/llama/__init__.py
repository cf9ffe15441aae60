"""llama.cpp through the low-level API of llama-cpp-python. Only this folder imports llama_cpp."""

from gemma_lsp.backends.llama.context import LlamaBackend, windows_for
from gemma_lsp.backends.llama.library import Gpu, build_info, gpus, supports_gpu
from gemma_lsp.backends.llama.model import LlamaOptions

__all__ = ["Gpu", "LlamaBackend", "LlamaOptions", "build_info", "gpus", "supports_gpu", "windows_for"]
