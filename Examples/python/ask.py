#!/usr/bin/env python3
"""Asks a question of a document through ctypes: ask.py MODEL DOCUMENT QUESTION.

THIMBLE_LIBRARY names the library where it does not lie where the system looks.
"""

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p


class Sized(ctypes.Structure):
    """A structure that says its own size; all else is zero, which is every field's default."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class Error(Sized):
    _fields_ = [("struct_size", c_size_t), ("status", c_int), ("detail", c_int), ("system_error", c_int32),
                ("vulkan_result", c_int32), ("text", c_char * 1000)]


class ModelOptions(Sized):
    # A smaller structure leaves the fields after it at their defaults: these are the first ones of the header's.
    _fields_ = [("struct_size", c_size_t), ("host_memory", c_uint64), ("device_memory", c_uint64),
                ("total_memory", c_uint64), ("budget", c_char_p), ("device", c_char_p), ("threads", c_uint32),
                ("context", c_uint32), ("image_tokens", c_uint32), ("prefill_chunk", c_uint32), ("kv_type", c_int),
                ("gpu_layers", c_uint32), ("spill_folder", c_char_p), ("spill_size", c_uint64),
                ("spill_written_a_day", c_uint64), ("feature_memory", c_uint64), ("feature_cache", c_uint64),
                ("feature_folder", c_char_p), ("progress", c_void_p), ("progress_context", c_void_p)]


class Document(Sized):
    _fields_ = [("struct_size", c_size_t), ("path", c_char_p), ("first_page", c_uint32), ("page_count", c_uint32),
                ("page_settings", c_char_p), ("font", c_char_p)]


class Result(Sized):
    _fields_ = [("struct_size", c_size_t), ("finish", c_int), ("prompt_tokens", c_uint32), ("cached_tokens", c_uint32),
                ("image_tokens", c_uint32), ("generated_tokens", c_uint32), ("images_encoded", c_uint32),
                ("images_cached", c_uint32), ("vision_seconds", c_double), ("first_token_seconds", c_double),
                ("decode_seconds", c_double)]


RECEIVE = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_char), c_size_t)
library = ctypes.CDLL(os.environ.get("THIMBLE_LIBRARY", "libthimble.so.0"))


def call(name, *arguments):
    """Calls a function whose last argument is an error; raises where it fails."""
    error = Error()
    if getattr(library, name)(*arguments, byref(error)) != 0:
        raise RuntimeError(error.text.decode())


def ask(model_path, document_path, question):
    runtime, model, session = c_void_p(), c_void_p(), c_void_p()
    pieces = []

    @RECEIVE
    def receive(_, text, length):
        pieces.append(ctypes.string_at(text, length))
        return 0

    try:
        call("thimble_runtime_create", None, byref(runtime))
        options = ModelOptions(host_memory=256 << 20, device=b"cpu")
        call("thimble_model_load", runtime, os.fsencode(model_path), byref(options), byref(model))
        call("thimble_session_create", model, byref(session))
        document = Document(path=os.fsencode(document_path))
        call("thimble_session_append_document", session, byref(document), None)
        text = question.encode()
        user = 1
        call("thimble_session_append_text", session, user, text, c_size_t(len(text)))
        result = Result()
        call("thimble_session_generate", session, None, receive, None, byref(result))
        print(f"{result.image_tokens} visual tokens, {result.first_token_seconds:.2f} s to the first token", file=sys.stderr)
        return b"".join(pieces).decode()
    finally:
        for name, handle in [("session", session), ("model", model), ("runtime", runtime)]:
            if handle:
                getattr(library, f"thimble_{name}_close")(handle, None)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: ask.py MODEL DOCUMENT QUESTION")
    try:
        print(ask(*sys.argv[1:]))
    except RuntimeError as fault:
        sys.exit(f"ask.py: {fault}")
