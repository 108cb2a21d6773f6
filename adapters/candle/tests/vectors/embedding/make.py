"""Writes two tiny encoders with random weights, and what they must make of some texts.

    python3 make.py            (needs numpy and nothing else)

Tokens and vectors are computed here from the papers' formulas, without transformers, tokenizers or torch, so that a
mistake of theirs or ours would show. `tiny-bert` is what sentence-transformers writes for a model with mean pooling,
normalisation, prompts and a length limit; `tiny-xlm-roberta` has first-token pooling, no normalisation, positions that
begin after the padding's, weights below a name, and no modules beyond the pooling.
"""

import json
import math
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
WIDTH, HEADS, FEED_FORWARD, LAYERS = 16, 2, 32, 2
TEXTS = ["hello", "Good morning, world.", "你好", "a much longer text that is cut off somewhere in the middle", "x"]


def vocabulary(special):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = special + list(letters) + ["##" + letter for letter in letters] + list(".,!?-")
    return tokens + ["hello", "good", "world", "query", "passage", ":", "##ing", "morn", "text", "the", "你", "好"]


def words(text):
    """BERT's basic splitting, as far as these texts need it."""
    current = ""
    for letter in text.lower():
        if letter.isspace():
            yield current
            current = ""
        elif letter in ".,!?-:" or "\u4e00" <= letter <= "\u9fff":
            yield current
            yield letter
            current = ""
        else:
            current += letter
    yield current


def pieces(word, ids, unknown):
    """Longest piece first."""
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in ids:
                break
        else:
            return [unknown]
        found.append(ids[piece])
        start = end
    return found


def encode(model, text):
    ids = {token: place for place, token in enumerate(model["tokens"])}
    inner = [one for word in words(text) if word for one in pieces(word, ids, ids[model["unknown"]])]
    return [ids[model["first"]]] + inner[: model["longest"] - 2] + [ids[model["last"]]]


def weights(model, seed):
    random = np.random.default_rng(seed)
    table = {}

    def add(name, shape, spread, centre=0.0):
        values = centre + random.uniform(-spread, spread, size=shape)
        table[model["prefix"] + name] = values.astype(np.float32)

    add("embeddings.word_embeddings.weight", (len(model["tokens"]), WIDTH), 1.0)
    add("embeddings.position_embeddings.weight", (model["positions"], WIDTH), 0.5)
    add("embeddings.token_type_embeddings.weight", (model["types"], WIDTH), 0.5)
    add("embeddings.LayerNorm.weight", (WIDTH,), 0.2, 1.0)
    add("embeddings.LayerNorm.bias", (WIDTH,), 0.2)
    for layer in range(LAYERS):
        for part, rows, columns in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", FEED_FORWARD, WIDTH),
            ("output.dense", WIDTH, FEED_FORWARD),
        ]:
            add(f"encoder.layer.{layer}.{part}.weight", (rows, columns), 0.5)
            add(f"encoder.layer.{layer}.{part}.bias", (rows,), 0.3)
        for part in ["attention.output", "output"]:
            add(f"encoder.layer.{layer}.{part}.LayerNorm.weight", (WIDTH,), 0.2, 1.0)
            add(f"encoder.layer.{layer}.{part}.LayerNorm.bias", (WIDTH,), 0.2)
    return table


def hidden(model, table, ids):
    """The last layer's vectors in 64 bits, one row a token."""
    get = lambda name: table[model["prefix"] + name].astype(np.float64)
    gelu = np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))))

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + model["eps"])
        return x * get(f"{name}.weight") + get(f"{name}.bias")

    def linear(x, name):
        return x @ get(f"{name}.weight").T + get(f"{name}.bias")

    places = model["first_position"] + np.arange(len(ids))
    x = get("embeddings.word_embeddings.weight")[ids] + get("embeddings.position_embeddings.weight")[places]
    x = norm(x + get("embeddings.token_type_embeddings.weight")[0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        q, k, v = (linear(x, f"{name}.attention.self.{part}") for part in ["query", "key", "value"])
        heads = []
        for head in np.split(np.arange(WIDTH), HEADS):
            scores = q[:, head] @ k[:, head].T / math.sqrt(WIDTH // HEADS)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, head])
        attended = linear(np.concatenate(heads, -1), f"{name}.attention.output.dense")
        x = norm(x + attended, f"{name}.attention.output.LayerNorm")
        wide = gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x


def vector(model, table, ids):
    rows = hidden(model, table, ids)
    pooled = rows[0] if model["pooling"] == "cls_token" else rows.mean(0)
    return pooled / np.linalg.norm(pooled) if model["normalised"] else pooled


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = content if isinstance(content, list) else [content]
    text = ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(f"[\n{text}\n]\n" if isinstance(content, list) else f"{text}\n")


def safetensors(path, table):
    header, offset = {}, 0
    for name, values in table.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for values in table.values()))


def tokenizer(model):
    ids = {token: place for place, token in enumerate(model["tokens"])}
    added = [
        {"id": ids[token], "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for token in model["tokens"][:4]
    ]
    special = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    sequence = lambda which, kind: {"Sequence": {"id": which, "type_id": kind}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(model["first"]), sequence("A", 0), special(model["last"])],
            "pair": [special(model["first"]), sequence("A", 0), special(model["last"]), sequence("B", 0)],
            "special_tokens": {
                token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                for token in [model["first"], model["last"]]
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": model["unknown"], "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    }


def make(name, model, seed):
    folder, table = HERE / name, weights(model, seed)
    config = {
        "model_type": model["type"], "vocab_size": len(model["tokens"]), "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FEED_FORWARD,
        "hidden_act": "gelu", "max_position_embeddings": model["positions"], "type_vocab_size": model["types"],
        "layer_norm_eps": model["eps"], "pad_token_id": model["tokens"].index(model["pad"]),
    }
    write(folder / "config.json", config)
    write(folder / "tokenizer.json", tokenizer(model))
    write(folder / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH, f"pooling_mode_{model['pooling']}": True})
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * model["normalised"]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{part}"}
        for place, (path, part) in enumerate(parts)
    ]
    write(folder / "modules.json", modules)
    if model["prompts"]:
        limit = {"max_seq_length": model["longest"], "do_lower_case": False}
        write(folder / "sentence_bert_config.json", limit)
        write(folder / "config_sentence_transformers.json", {"prompts": model["prompts"], "default_prompt_name": None})
    safetensors(folder / "model.safetensors", table)
    expected = []
    for purpose in ["plain"] + list(model["prompts"]):
        for text in TEXTS:
            ids = encode(model, model["prompts"].get(purpose, "") + text)
            values = [round(float(x), 7) for x in vector(model, table, ids)]
            expected.append({"purpose": purpose, "text": text, "ids": ids, "vector": values})
    write(folder / "expected.json", expected)


make("tiny-bert", {
    "type": "bert", "prefix": "", "tokens": vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]"]), "pad": "[PAD]",
    "unknown": "[UNK]", "first": "[CLS]", "last": "[SEP]", "positions": 32, "longest": 24, "types": 2, "eps": 1e-12,
    "first_position": 0, "pooling": "mean_tokens", "normalised": True,
    "prompts": {"query": "query: ", "passage": "passage: "},
}, seed=20261121)
make("tiny-xlm-roberta", {
    "type": "xlm-roberta", "prefix": "roberta.", "tokens": vocabulary(["<s>", "<pad>", "</s>", "<unk>"]), "pad": "<pad>",
    "unknown": "<unk>", "first": "<s>", "last": "</s>", "positions": 34, "longest": 32, "types": 1, "eps": 1e-5,
    "first_position": 2, "pooling": "cls_token", "normalised": False, "prompts": {},
}, seed=20261122)
