#!/usr/bin/env python3
"""A tiny random encoder in the form of sentence-transformers, and what the reference libraries make of texts with it.

    python testdata/make_encoder_goldens.py [FOLDER of all-MiniLM-L6-v2]      writes testdata/models/bert-tiny/

Oracle: transformers 5.23.0, torch 2.15.0, tokenizers 0.23.3, all in f32 on one thread. golden.json holds texts, their
ids, and their vectors (mean of the last layer over all tokens, length 1); with the folder of the real model also what
that makes of the same texts (testdata/minilm_golden.json), for the test named Real….
"""
import json
import pathlib
import sys

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

PINNED = {"transformers": "5.23.0", "torch": "2.15.0"}
HERE = pathlib.Path(__file__).parent
OUT = HERE / "models" / "bert-tiny"
TEXTS = ["", "Hello, world!", "How long may I return a bike?", "unaffable UNAFFABLE", "naïve café, Ünïcödé İstanbul ẞ",
         "a\tb\nc\r\nd  e\u00a0f\u3000g\u2003h", "x\u200by\u00adz \ufeffw\u0000v \ufffd", "日本語のテキスト and 漢字", "한국어 텍스트",
         "don't stop-me: (it's) $5.00 + 3% = ~`^|<>", "“quotes” — dashes… ¿qué?", "Ⅷ ½ ² ﬁne", "😀👍🏽 emoji \u0301combining a\u0301",
         "[CLS] not special [SEP] [MASK]", "x" * 99, "x" * 101, "supercalifragilisticexpialidocious " * 40,
         "Ω ω Σ ς ΣΑΣ", "Привет, мир!", "नमस्ते दुनिया", "שלום עולם", "\ue000private \u0600x", "İ ŉ ǰ ﬃ"]


def vocabulary():
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted({c for text in TEXTS for c in text.lower() if c.isascii() and c.isprintable() and c != " "})
    words = ["hello", "world", "how", "long", "may", "return", "bike", "un", "super", "not", "special", "text", "and", "naive",
             "cafe", "istanbul", "日", "本", "語", "の", "привет", "ω", "한국".encode().decode()]
    inside = ["##aff", "##able", "##cali", "##fragil", "##istic", "##s", "##ing", "##ed", "##t"]
    return specials + characters + [f"##{c}" for c in characters if c.isalnum()] + words + inside


def tokenizer_of(pieces):
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]",
                                      max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = made.token_to_id("[CLS]"), made.token_to_id("[SEP]")
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return made


def embed(model, tokenizer, most):
    """Special tokens in a text are words: no added tokens are known to the tokenizer. Longest first and cut, as `most` says."""
    ids, vectors = [], []
    for text in TEXTS:
        found = tokenizer.encode(text).ids
        if len(found) > most:
            found = found[:most - 1] + found[-1:]
        with torch.inference_mode():
            hidden = model(torch.tensor([found])).last_hidden_state[0]
        vector = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        ids.append(found)
        vectors.append([round(x, 7) for x in vector.tolist()])
    return {"texts": TEXTS, "ids": ids, "vectors": vectors}


def main():
    for name, version in PINNED.items():
        assert sys.modules[name].__version__.split("+")[0] == version, name
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tokenizer = tokenizer_of(vocabulary())
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size() + 3, hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=52, max_position_embeddings=64, type_vocab_size=2, initializer_range=0.3)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():  # norms and biases that are not 1 and 0
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(OUT)
    tokenizer.save(str(OUT / "tokenizer.json"))
    (OUT / "1_Pooling").mkdir(exist_ok=True)
    (OUT / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}))
    (OUT / "modules.json").write_text(json.dumps(
        [{"idx": i, "path": path, "type": f"sentence_transformers.models.{name}"}
         for i, (path, name) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])]))
    (OUT / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48}))
    (OUT / "golden.json").write_text(json.dumps(embed(model, tokenizer, 48), ensure_ascii=False))
    if len(sys.argv) > 1:
        place = pathlib.Path(sys.argv[1])
        real = transformers.BertModel.from_pretrained(place, add_pooling_layer=False).eval()
        raw = json.loads((place / "tokenizer.json").read_text())
        raw.update(truncation=None, padding=None, added_tokens=[])
        golden = embed(real, Tokenizer.from_str(json.dumps(raw)), 256)
        (HERE / "minilm_golden.json").write_text(json.dumps(golden, ensure_ascii=False))


if __name__ == "__main__":
    main()
