"""Worker: the matrix products of one training step of the benchmark GPT and nothing else, in PyTorch.

Forward and both backward products of every linear layer, of the head and of attention's two batched products (not
halved for causality), into memory allocated before: what remains of a step when all else costs nothing.
"""

import torch

import worker


def main():
    config = worker.options(__doc__).parse_args()
    libraries_bytes = worker.peak_resident_bytes()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[config.dtype]
    rows, hidden = config.batch * config.sequence, config.hidden
    calls = []

    def product(*shape_of_left, columns):
        """Plans c = a @ b, then, with c standing for its own gradient, da = c @ b^T and db = a^T @ c."""
        *batch, _, inner = shape_of_left
        a = torch.randn(shape_of_left, dtype=dtype)
        b = torch.randn(*batch, columns, inner, dtype=dtype).mT
        c, da, db = a @ b, torch.empty_like(a), torch.empty_like(b.mT).mT
        matmul = torch.bmm if batch else torch.mm
        calls.append(lambda: matmul(a, b, out=c))
        calls.append(lambda: matmul(c, b.mT, out=da))
        calls.append(lambda: matmul(c.mT, a, out=db.mT))

    pairs, head = config.batch * config.heads, hidden // config.heads
    for _ in range(config.layers):
        product(rows, hidden, columns=3 * hidden)
        product(pairs, config.sequence, head, columns=config.sequence)
        product(pairs, config.sequence, config.sequence, columns=head)
        product(rows, hidden, columns=hidden)
        product(rows, hidden, columns=4 * hidden)
        product(rows, 4 * hidden, columns=hidden)
    product(rows, hidden, columns=config.vocabulary)

    def step(_):
        for call in calls:
            call()

    worker.serve(lambda: None, step, libraries_bytes, torch=torch.__version__)


if __name__ == "__main__":
    main()
