"""The same models in plain PyTorch: what `speed.py` compares with. Written afresh, no fast tricks
left out that a careful user would take: fused attention, cached keys and values, packed targets.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Pre-norm block as in nanoGPT: LayerNorm, fused QKV, GELU."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, T, width) -> three of (batch, heads, T, d)."""
        b, t, w = x.shape
        parts = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, w // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        return q, k, v

    def rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(x, F.scaled_dot_product_attention(*self.split(x), is_causal=True))

    def step(self, x: Tensor, cache: list[Tensor], t: int) -> Tensor:
        """x (batch, 1, width); cache: keys and values (batch, heads, context, d), filled to t."""
        q, k, v = self.split(x)
        cache[0][:, :, t], cache[1][:, :, t] = k[:, :, 0], v[:, :, 0]
        seen = cache[0][:, :, : t + 1], cache[1][:, :, : t + 1]
        return self.rest(x, F.scaled_dot_product_attention(q, *seen))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, width: int, depth: int, heads: int, context: int):
        super().__init__()
        self.context, self.heads, self.width = context, heads, width
        self.table, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.table.weight
        self.apply(self.start)
        for block in self.blocks:
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 * (2 * depth) ** -0.5)

    @staticmethod
    def start(part: nn.Module) -> None:
        """The weights that nanoGPT begins with."""
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=0.02)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids) + self.places.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    @torch.no_grad()
    def generate(self, batch: int, length: int, cached: bool = True) -> Tensor:
        """(batch, length) ids, one token at a time, at most a context long."""
        ids = torch.ones(batch, 1, dtype=torch.long)
        size = (batch, self.heads, self.context, self.width // self.heads)
        caches = [[torch.zeros(size), torch.zeros(size)] for _ in self.blocks]
        for t in range(length):
            if cached:
                x = self.table(ids[:, -1:]) + self.places.weight[t]
                for block, cache in zip(self.blocks, caches, strict=True):
                    x = block.step(x, cache, t)
                logits = self.head(self.norm(x))[:, -1]
            else:
                logits = self(ids[:, -self.context :])[:, -1]
            ids = torch.cat([ids, torch.multinomial(logits.softmax(-1), 1)], 1)
        return ids[:, 1:]


class Recurrent(nn.Module):
    """A GRU language model as PyTorch begins it."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.gru(self.table(ids))[0])

    @torch.no_grad()
    def generate(self, batch: int, length: int) -> Tensor:
        ids, state = torch.ones(batch, 1, dtype=torch.long), None
        for _ in range(length):
            h, state = self.gru(self.table(ids[:, -1:]), state)
            p = self.head(h[:, -1]).softmax(-1)
            ids = torch.cat([ids, torch.multinomial(p, 1)], 1)
        return ids[:, 1:]


class SentenceVAE(nn.Module):
    """Bowman et al.'s model, as Sentence-VAE writes it: GRU encoder and decoder, full softmax.

    With `variational` off it is the plain recurrent autoencoder.
    """

    def __init__(self, vocabulary: int, latent: int, width: int, variational: bool = True):
        super().__init__()
        self.latent, self.variational = latent, variational
        self.table = nn.Embedding(vocabulary, width, padding_idx=0)
        self.reader = nn.GRU(width, width, batch_first=True)
        self.to_latent = nn.Linear(width, 2 * latent if variational else latent)
        self.start = nn.Linear(latent, width)
        self.writer = nn.GRU(width + latent, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def encode(self, ids: Tensor) -> Tensor:
        lengths = (ids != 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.table(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.to_latent(self.reader(packed)[1][0])

    def losses(self, ids: Tensor, sample: bool = True) -> tuple[Tensor, Tensor]:
        """(−log p(x|z), KL), each (batch,) in nats; ids (batch, T) end with the end token."""
        h = self.encode(ids)
        kl, z = torch.zeros(len(ids)), h
        if self.variational:
            mean, logvar = h.chunk(2, -1)
            kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(-1)
            z = mean + (torch.randn_like(mean) * (0.5 * logvar).exp() if sample else 0)
        before = F.pad(ids[:, :-1], (1, 0), value=1)
        wide = torch.cat([self.table(before), z[:, None].expand(-1, ids.shape[1], -1)], -1)
        logits = self.head(self.writer(wide, torch.tanh(self.start(z))[None])[0])
        nll = F.cross_entropy(logits.transpose(1, 2), ids, reduction="none", ignore_index=0)
        return nll.sum(1), kl

    @torch.no_grad()
    def decode(self, z: Tensor, length: int) -> Tensor:
        """Greedy: (batch, length) ids."""
        ids = torch.ones(len(z), 1, dtype=torch.long)
        state = torch.tanh(self.start(z))[None]
        for _ in range(length):
            x = torch.cat([self.table(ids[:, -1:]), z[:, None]], -1)
            h, state = self.writer(x, state)
            ids = torch.cat([ids, self.head(h[:, -1]).argmax(-1, keepdim=True)], 1)
        return ids[:, 1:]


def step_of(model: nn.Module, loss: Any, rate: float = 1e-3, **options: Any) -> Any:
    """A function that takes one AdamW step on a batch of ids (NumPy) at `share` of the rate."""
    optimiser = torch.optim.AdamW(model.parameters(), rate, **options)

    def step(*batch: np.ndarray, share: float = 1.0) -> float:
        optimiser.param_groups[0]["lr"] = share * rate
        optimiser.zero_grad(set_to_none=True)
        value = loss(*(torch.from_numpy(a.astype(np.int64)) for a in batch))
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return value.detach().item()

    return step
