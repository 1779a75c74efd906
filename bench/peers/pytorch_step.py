"""Worker: one training step of the benchmark GPT in PyTorch."""

import contextlib

import torch
import torch.nn.functional as F
from torch import nn

import worker


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config.hidden
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.projection = nn.Linear(hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))

    def attention(self, x):
        batch, sequence, hidden = x.shape
        q, k, v = (
            part.view(batch, sequence, self.heads, hidden // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(hidden, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.projection(y.transpose(1, 2).reshape(batch, sequence, hidden))


class Gpt(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.hidden)
        self.positions = nn.Embedding(config.sequence, config.hidden)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden)
        self.apply(self.initialize)

    @staticmethod
    def initialize(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    def forward(self, inputs, targets):
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def main():
    parser = worker.options(__doc__)
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    parser.add_argument("--optimizer", choices=["fused", "default"], default="fused")
    config = parser.parse_args()
    libraries_bytes = worker.peak_resident_bytes()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)

    gpt = Gpt(config)
    groups = [
        {"params": [p for p in gpt.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in gpt.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=3e-4, betas=(0.9, 0.95), fused=True if config.optimizer == "fused" else None
    )
    model = torch.compile(gpt) if config.mode == "compile" else gpt
    bf16 = config.dtype == "bf16"
    autocast = torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()

    def step(batch):
        inputs, targets = batch
        with autocast:
            loss = model(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    batches = worker.batches(config)
    worker.serve(
        lambda: [torch.from_numpy(part) for part in next(batches)],
        step,
        libraries_bytes,
        torch=torch.__version__,
    )


if __name__ == "__main__":
    main()
