"""Records what llama.cpp computes, for this crate's tests to compare with.

    pip install llama-cpp-python==0.3.36          (built from its source package in about eight minutes)
    cargo run -p magpie-candle --features testkit --example make_random_model -- --references REFERENCES
    python make_reference.py REFERENCES ../../demo-model/magpie-demo.gguf

Writes beside itself `random.json` and `demo.json` (token ids, checksums, positions) and the logits of those positions:
`random.f32` and `demo.f32`, 32-bit little-endian floats, one per token of the vocabulary, position after position in the
order of the JSON files. `random.json` says how many tokens a sequence has; which ones is the formula in `tokens_of`.
Keys and values are kept as f32 and without flash attention, so that the reference itself is as
exact as it can be.
"""

import hashlib
import json
import pathlib
import sys

import llama_cpp
import numpy

HERE = pathlib.Path(__file__).parent
# The first positions, where rounding has had no time to add up, some later ones, and both sides of a page's end.
SHORT = [0, 1, 2, 7, 15, 16, 40, 63]
LONG = [255, 256, 1000, 1499]
LONG_MODELS = ["llama-f32", "llama-f16-factors", "qwen2-q8_0-yarn", "qwen3-q8_0-deep", "qwen3-q4_k-odd"]
STEPS = 64
# Some of the trained questions, and some that are none.
QUESTIONS = [
    "怎么安装",
    "Magpie 是什么",
    "怎么配置飞书机器人",
    "怎么配置钉钉机器人",
    "法国的首都是哪里",
    "需要什么环境",
    "部署流程是什么",
    "你好",
    "谢谢",
    "今天天气怎么样",
    "what is magpie",
    "how do I set up a feishu bot",
    "how do I set up a dingtalk bot",
    "how do I run database migrations",
    "what is the capital of france",
    "hello",
    "thanks",
    "how do i install it",
    "Which licence does it have?",
    "Write a poem about the sea.",
]
# How many of the demo model's answers have logits, and at which steps.
LOGIT_QUESTIONS, LOGIT_STEPS = 4, [0, 31]


def load(path, context):
    return llama_cpp.Llama(
        str(path), n_ctx=context, n_batch=context, n_threads=2, n_threads_batch=2, logits_all=True,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False, verbose=False,
    )


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(model, ids):
    """The logits of all positions."""
    model.reset()
    model.eval(ids)
    return numpy.array(model.scores[: len(ids)], dtype=numpy.float32)


def tokens_of(count, vocabulary):
    return [(place * 37 + place * place % 101) % vocabulary for place in range(count)]


def random(folder):
    models, logits = [], []
    for path in sorted(folder.glob("*.gguf")):
        model = load(path, 1536)
        long = path.stem in LONG_MODELS
        ids = tokens_of(1500 if long else 64, model.n_vocab())
        positions = SHORT + (LONG if long else [])
        logits.append(run(model, ids)[positions])
        print(path.stem, "deviation of the logits", logits[-1].std())
        models.append({"name": path.stem, "sha256": checksum(path), "tokens": len(ids), "positions": positions})
    return models, logits


def demo(path):
    model = load(path, 512)
    answers, logits = [], []
    for number, question in enumerate(QUESTIONS):
        text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        prompt = model.tokenize(text.encode(), add_bos=False, special=True)
        model.reset()
        model.eval(prompt)
        ids = []
        for step in range(STEPS):
            scores = numpy.array(model.scores[model.n_tokens - 1], dtype=numpy.float32)
            if number < LOGIT_QUESTIONS and step in LOGIT_STEPS:
                logits.append(scores)
            ids.append(int(scores.argmax()))
            model.eval(ids[-1:])
        answers.append({"prompt": prompt, "ids": ids, "logits": LOGIT_STEPS if number < LOGIT_QUESTIONS else []})
    return answers, logits


def write(name, entries, logits):
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")
    numpy.concatenate([numpy.ravel(part) for part in logits]).astype("<f4").tofile(HERE / f"{name}.f32")


if __name__ == "__main__":
    write("random", *random(pathlib.Path(sys.argv[1])))
    write("demo", *demo(pathlib.Path(sys.argv[2])))
