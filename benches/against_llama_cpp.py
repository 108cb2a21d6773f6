#!/usr/bin/env python3
"""Magpie's local engine beside llama.cpp on the same file: both in turn, several rounds, and the table of ratios.

    benches/against_llama_cpp.py --llama DIR --model FILE.gguf [--magpie target/release/magpie]

DIR holds llama.cpp's own `llama-bench` and `llama-batched-bench`, built on this machine. Nothing is fetched. Figures
are tokens per second, the median over the rounds; the ratio is the median of the rounds' own ratios, so that a machine
whose speed drifts does less harm. Only the standard library of Python 3 is needed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys


def main():
    options = arguments()
    cases = [case for case in all_cases(options) if case["name"].startswith(tuple(options.only))]
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        rounds.append([(case, ours(options, case), theirs(options, case)) for case in cases])
    print(table(options, rounds))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", required=True, help="folder with llama-bench and llama-batched-bench")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--magpie", default="target/release/magpie")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", default="512", help="lengths, with commas")
    parser.add_argument("--batch", default="1,8,16", help="chats at once, with commas")
    parser.add_argument("--depth", default="0,2048", help="tokens before the first measured one, with commas")
    parser.add_argument("--generate", type=int, default=48, help="tokens of each chat")
    parser.add_argument("--kernels", help="an instruction set of ours, such as avx2; llama.cpp's is chosen when it is built")
    parser.add_argument("--only", default=[""], nargs="*", help="cases whose names begin so: prompt, decode")
    return parser.parse_args()


def all_cases(options):
    for tokens in numbers(options.prompt):
        yield {"name": f"prompt of {tokens}", "prompt": tokens}
    for depth in numbers(options.depth):
        for chats in numbers(options.batch):
            where = f" at depth {depth}" if depth else ""
            yield {"name": f"decode, {chats} at once{where}", "chats": chats, "depth": depth}


def numbers(text):
    return [int(number) for number in text.split(",")]


def ours(options, case):
    command = [options.magpie, "model", "bench", options.model, "--json", "--threads", str(options.threads)]
    if options.kernels:
        command += ["--kernels", options.kernels]
    if "prompt" in case:
        command += ["--prompt", str(case["prompt"]), "--generate", "1", "--batch", "1", "--depth", "0"]
    else:
        command += ["--prompt", "16", "--generate", str(options.generate)]
        command += ["--batch", str(case["chats"]), "--depth", str(case["depth"])]
    kind = "prompt" if "prompt" in case else "decode"
    [row] = [row for row in json.loads(run(command, {}))["results"] if row["kind"] == kind]
    return row["tokens_per_second"]


def theirs(options, case):
    binary = "llama-batched-bench" if case.get("chats", 1) > 1 else "llama-bench"
    command = [os.path.join(options.llama, binary), "-m", options.model, "-t", str(options.threads)]
    environment = {"LD_LIBRARY_PATH": options.llama}
    if binary == "llama-bench":
        depth = ["-d", str(case["depth"])] if case.get("depth") else []
        generate = 0 if "prompt" in case else options.generate
        command += ["-p", str(case.get("prompt", 0)), "-n", str(generate), "-r", "1", "-o", "json"] + depth
        [row] = json.loads(run(command, environment))
        return row["avg_ts"]
    # Each chat gets a context of its own, as in a service; one token is the shortest prompt there is.
    before = max(case["depth"], 1)
    context = case["chats"] * (before + options.generate)
    command += ["-tb", str(options.threads), "-c", str(context), "-npp", str(before), "-ntg", str(options.generate)]
    command += ["-npl", str(case["chats"]), "--output-format", "jsonl"]
    lines = [line for line in run(command, environment).splitlines() if line.startswith("{")]
    return json.loads(lines[-1])["speed_tg"]


def run(command, environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def table(options, rounds):
    lines = [f"{os.path.basename(options.model)}, {options.threads} threads", ""]
    lines += ["| tokens/s | Magpie | llama.cpp | ratio |", "| --- | --- | --- | --- |"]
    for results in zip(*rounds):
        own = statistics.median(own for _, own, _ in results)
        other = statistics.median(other for _, _, other in results)
        ratio = statistics.median(own / other for _, own, other in results)
        lines.append(f"| {results[0][0]['name']} | {own:.1f} | {other:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
