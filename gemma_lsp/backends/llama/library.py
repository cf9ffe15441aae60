"""The llama.cpp library itself: its build, the devices it sees, the cores it may use, and what it last said."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as lib
import psutil

log = logging.getLogger(__name__)

_RING: list[str] = []
_ERRORS: list[str] = []  # apart: one batch can log more than the ring holds
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR in ggml.h


def start() -> None:
    """Makes the library ready and takes its log. Any number of times."""
    lib.llama_backend_init()
    lib.llama_log_set(_LOG_CALLBACK, ctypes.c_void_p(0))


def forget_errors() -> None:
    """What was said before is no reason for what comes."""
    del _RING[:], _ERRORS[:]


def _on_log(level: int, text: bytes, data: Any) -> None:
    """Keeps llama.cpp's last lines for error messages; nothing of it reaches stdout, which is the protocol's."""
    line = text.decode("utf-8", "replace").rstrip()
    if line:
        _RING.append(line)
        del _RING[:-40]
        if level == _ERROR_LEVEL:
            _ERRORS.append(line)
            del _ERRORS[:-40]
        if level >= 3:
            log.debug("llama.cpp: %s", line)


_LOG_CALLBACK = lib.llama_log_callback(_on_log)  # kept alive: llama.cpp holds only the pointer


def last_error() -> str:
    """llama.cpp's own words on what went wrong last."""
    errors = [line for line in _RING if "error" in line.lower() or "fail" in line.lower()] or _ERRORS
    causes = [line for line in errors if not line.endswith("failed to load model")]  # which only says that it is so
    return (causes or errors or _RING or ["no reason given"])[-1].rpartition("error loading model: ")[2]


def said(text: str) -> bool:
    """Whether it stands in an error that was logged since `forget_errors`."""
    return any(text in line for line in _ERRORS)


def build_info() -> str:
    """Version of the binding and what the library was compiled for."""
    return f"llama-cpp-python {llama_cpp.__version__}; {lib.llama_print_system_info().decode().strip()}"


def supports_gpu() -> bool:
    """Whether this build can use a GPU at all."""
    return bool(lib.llama_supports_gpu_offload())


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as llama.cpp sees it; memory in bytes, 0 where it does not say."""

    name: str
    free: int
    total: int


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that llama.cpp sees, by its own registry (ggml-backend.h)."""
    try:
        import llama_cpp._ggml as ggml

        handle = ggml.libggml
        handle.ggml_backend_dev_count.restype = ctypes.c_size_t
        handle.ggml_backend_dev_get.restype = ctypes.c_void_p
        handle.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        handle.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        handle.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
        handle.ggml_backend_dev_description.restype = ctypes.c_char_p
        found = [handle.ggml_backend_dev_get(i) for i in range(handle.ggml_backend_dev_count())]
        return tuple(_gpu(handle, d) for d in found if handle.ggml_backend_dev_type(d) in (1, 2))  # GPU, integrated GPU
    except (ImportError, AttributeError):
        return (Gpu("GPU", 0, 0),) if supports_gpu() else ()


def _gpu(handle: Any, device: Any) -> Gpu:
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    pointer = ctypes.POINTER(ctypes.c_size_t)
    handle.ggml_backend_dev_memory.restype = None
    handle.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, pointer, pointer]
    handle.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    return Gpu(handle.ggml_backend_dev_description(device).decode(), free.value, total.value)


def devices() -> tuple[str, ...]:
    """Names of the GPUs that llama.cpp sees."""
    return tuple(gpu.name for gpu in gpus())


def physical_cores() -> int:
    """Physical cores, at most as many as this process may run on: threads that wait for a core wait busily."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    process = psutil.Process()
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else physical
    return max(1, min(physical, allowed))
