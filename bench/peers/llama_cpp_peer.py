"""llama.cpp through the low-level bindings of llama-cpp-python: files by its quantizer, speed, and distance from f32."""

import contextlib
import ctypes
import functools
import os
import time

import llama_cpp as llama
import numpy as np

# llama_ftype
TYPES = {"f32": 0, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_s": 11, "q3_k_m": 12,
         "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25, "bf16": 32}


@contextlib.contextmanager
def quiet():
    """llama.cpp logs to the descriptor itself."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved), os.close(nowhere)


@functools.cache
def backend():
    llama.llama_backend_init()


def importance_of(path):
    """An importance matrix (GGUF) as the quantizer takes it; what must stay alive comes with it."""
    import gguf
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    names = [name.removesuffix(".in_sum2") for name in tensors if name.endswith(".in_sum2")]
    values = [(tensors[f"{name}.in_sum2"].reshape(-1) / tensors[f"{name}.counts"].reshape(-1)[0]).astype(np.float32)
              for name in names]
    rows = [llama.llama_model_imatrix_data(name=name.encode(), data=value.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                                           size=value.size) for name, value in zip(names, values)]
    rows.append(llama.llama_model_imatrix_data())  # the end
    return (llama.llama_model_imatrix_data * len(rows))(*rows), values


def quantize(source, path, name, imatrix=None, threads=0):
    """Seconds that its quantizer took."""
    backend()
    options = llama.llama_model_quantize_default_params()
    options.ftype, options.allow_requantize, options.nthread = TYPES[name], True, threads or os.cpu_count()
    if imatrix is not None:
        options.imatrix, alive = importance_of(imatrix)
    with quiet():
        began = time.perf_counter()
        failed = llama.llama_model_quantize(str(source).encode(), str(path).encode(), options)
        seconds = time.perf_counter() - began
    if failed:
        raise RuntimeError(f"llama.cpp cannot make {path}")
    return seconds


def quantized(source, folder, name):
    """A GGUF of this type, made from `source` by llama.cpp and kept in `folder`."""
    path = folder / f"smollm2-{name}.gguf"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        quantize(source, unfinished, name)
        unfinished.rename(path)
    return path


class Model:
    def __init__(self, path, threads, batch=512, all_logits=False, lora=None):
        backend()
        with quiet():
            self.model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
            options = llama.llama_context_default_params()
            options.n_ctx, options.n_batch, options.n_ubatch = 1024, batch, batch
            options.n_threads = options.n_threads_batch = threads
            self.context = llama.llama_init_from_model(self.model, options)
            if lora is not None:
                adapter = llama.llama_adapter_lora_init(self.model, str(lora).encode())
                if not adapter:
                    raise RuntimeError(f"{lora}: llama.cpp does not take this adapter")
                adapters = (llama.llama_adapter_lora_p_ctypes * 1)(adapter)
                if llama.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(1.0)):
                    raise RuntimeError(f"{lora}: llama.cpp does not apply this adapter")
        self.memory = llama.llama_get_memory(self.context)
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.all_logits = all_logits

    def clear(self):
        llama.llama_memory_clear(self.memory, True)

    def run(self, tokens):
        array = (llama.llama_token * len(tokens))(*tokens)
        self.decode(llama.llama_batch_get_one(array, len(tokens)))

    def decode(self, batch):
        if code := llama.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode: {code}")
        llama.llama_synchronize(self.context)

    def logits(self, tokens, first):
        """Logits of positions first … of a window, (positions, vocab)."""
        self.clear()
        batch = llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, i >= first
            batch.seq_id[i][0] = 0
        self.decode(batch)
        rows = [np.ctypeslib.as_array(llama.llama_get_logits_ith(self.context, i), (self.vocab,)).copy()
                for i in range(first, len(tokens))]
        llama.llama_batch_free(batch)
        return np.stack(rows)


@functools.lru_cache(maxsize=1)  # works of one file follow each other
def loaded(path, threads):
    return Model(path, threads)


def tokenize(path, text):
    """The ids that llama.cpp gives a text with the vocabulary of a file, special tokens in it recognised, no BOS."""
    backend()
    options = llama.llama_model_default_params()
    options.vocab_only = True
    with quiet():
        model = llama.llama_model_load_from_file(str(path).encode(), options)
    vocab, data = llama.llama_model_get_vocab(model), text.encode()
    ids = (llama.llama_token * (len(data) + 8))()
    count = llama.llama_tokenize(vocab, data, len(data), ids, len(ids), False, True)
    special = {"bos": llama.llama_vocab_bos(vocab), "eos": llama.llama_vocab_eos(vocab)}
    llama.llama_model_free(model)
    return list(ids[:count]), special


def random_tokens(count):
    return np.random.default_rng(0).integers(10, 40000, count).tolist()


def prefill(path, threads, tokens):
    model = loaded(path, threads)
    for _ in range(2):  # the first is not timed, as ours is not
        model.clear()
        began = time.perf_counter()
        model.run(random_tokens(tokens))
    return tokens / (time.perf_counter() - began)


def decode(path, threads, tokens, depth):
    """Behind a prompt of `depth` tokens, which is not timed."""
    model = loaded(path, threads)
    ids = random_tokens(tokens)
    for _ in range(2):  # the first is not timed, as ours is not
        model.clear()
        model.run(random_tokens(depth))
        began = time.perf_counter()
        for token in ids:
            model.run([token])
    return tokens / (time.perf_counter() - began)


def log_probabilities(path, threads, windows, lora=None):
    """Of the second half of each window, (positions, vocab) each; with an adapter, a GGUF file of its own."""
    model, halves = Model(path, threads, lora=lora), []
    for window in windows:
        first = len(window) // 2
        logits = model.logits(window, first)[:-1].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        halves.append((logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32))
    return halves


@functools.lru_cache(maxsize=1)  # many files are held against one
def log_probabilities_of_reference(path, threads, windows):
    return log_probabilities(path, threads, windows)


def divergence(path, reference, threads, windows):
    """KL(reference ‖ path) in nats per position, over the second half of each window, as llama-perplexity does it."""
    truth = log_probabilities_of_reference(reference, threads, tuple(map(tuple, windows)))
    total, count = 0.0, 0
    for p, q in zip(truth, log_probabilities(path, threads, windows)):
        total += float((np.exp(p, dtype=np.float64) * (p.astype(np.float64) - q)).sum())
        count += len(p)
    return total / count
