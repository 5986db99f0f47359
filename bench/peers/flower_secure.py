#!/usr/bin/env python3
"""One round of secure sums by the functions of Flower's SecAgg+ (flwr.common.secure_aggregation), all agents and the server in one process, nothing
sent: what the rounds of its workflow compute, nobody gone. Prints one JSON line.

    pip install flwr==1.42.0;  taskset -c 0 python bench/peers/flower_secure.py --agents 100 --size 1761
"""
import argparse
import json
import os
import time

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt, generate_shared_key
from flwr.common.secure_aggregation.quantization import dequantize, quantize
from flwr.common.secure_aggregation.secaggplus_utils import (
    pseudo_rand_gen,
    share_keys_plaintext_concat,
    share_keys_plaintext_separate,
)

CLIP, LEVELS, RANGE = 8.0, 1 << 22, 1 << 32  # flwr's defaults but for the clipping, which is symma's


def fresh():
    private = ec.generate_private_key(ec.SECP384R1())  # the curve of flwr's own key pairs
    return private, private.public_key()


def one_round(rows, threshold):
    n, size = rows.shape
    seal, mask = [fresh() for _ in range(n)], [fresh() for _ in range(n)]
    own_seed = [os.urandom(32) for _ in range(n)]
    secret = [m[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for m in mask]
    # Each agent: its two secrets in shares, a sealed message for every other.
    held = [[None] * n for _ in range(n)]
    shared = [[generate_shared_key(seal[i][0], seal[j][1]) if j != i else None for j in range(n)] for i in range(n)]
    for i in range(n):
        of_seed, of_key = create_shares(own_seed[i], threshold, n), create_shares(secret[i], threshold, n)
        for j in range(n):
            if j == i:
                held[i][i] = (of_seed[i], of_key[i])
                continue
            message = encrypt(shared[i][j], share_keys_plaintext_concat(i, j, of_seed[j], of_key[j]))
            held[j][i] = share_keys_plaintext_separate(decrypt(shared[j][i], message))[2:]
    # Each agent: its row on a grid, and the masks.
    total = np.zeros(size, np.int64)
    for i in range(n):
        sent = quantize([rows[i]], CLIP, LEVELS)[0].astype(np.int64)
        sent = sent + pseudo_rand_gen(own_seed[i], RANGE, [(size,)])[0]
        for j in range(n):
            if j == i:
                continue
            pair = pseudo_rand_gen(generate_shared_key(mask[i][0], mask[j][1]), RANGE, [(size,)])[0]
            sent = sent + pair if i < j else sent - pair
        total = (total + sent) % RANGE
    # The server: seeds from shares, and their masks taken off.
    for i in range(n):
        seed = combine_shares([held[j][i][0] for j in range(threshold)])
        total = (total - pseudo_rand_gen(seed, RANGE, [(size,)])[0]) % RANGE
    return dequantize([total - (n - 1) * LEVELS / 2], CLIP, LEVELS)[0]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--agents", type=int, default=100)
    p.add_argument("--size", type=int, default=1761)
    a = p.parse_args()
    rows = np.random.default_rng(0).normal(size=(a.agents, a.size)) * 0.1
    cpu = time.process_time()
    total = one_round(rows, (2 * a.agents + 2) // 3)
    spent = time.process_time() - cpu
    off = np.abs(total - rows.sum(0)).max()
    if not off < 1e-3:
        raise SystemExit(f"flower_secure.py: the sum is off by {off}")
    import flwr

    print(json.dumps({"tool": f"flwr {flwr.__version__}", "rounds_per_cpu_s": 1 / spent}))


if __name__ == "__main__":
    main()
