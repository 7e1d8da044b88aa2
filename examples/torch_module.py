"""A torch module, trained by torch through fastrnn, then run without torch, one step at a time."""

import numpy as np
import torch

import fastrnn
from fastrnn import torch as rnn  # the changed import: rnn.GRU is torch.nn.GRU, computed by fastrnn

torch.manual_seed(0)
gru, head = rnn.GRU(1, 32, batch_first=True), torch.nn.Linear(32, 1)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()], lr=1e-2)

# To be learned: the next value of a sine of unknown frequency and phase.
for step in range(301):
    t, frequency = torch.arange(41.0), 0.2 + 0.4 * torch.rand(64, 1)
    wave = torch.sin(frequency * t + 6.28 * torch.rand(64, 1))[..., None]
    y, _ = gru(wave[:, :-1])
    loss = (head(y) - wave[:, 1:]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.5f}")

# Where it runs, torch is not needed: save the layers here, `fastrnn.load` them there.
layer, dense = fastrnn.interop.from_torch(gru), fastrnn.interop.from_torch(head)
stream = layer.stream()
values = np.sin(0.3 * np.arange(60, dtype="float32"))
predicted = [dense(stream.step(value.reshape(1, 1))).item() for value in values[:-1]]
print("off by", np.abs(predicted[20:] - values[21:]).max(), "after 20 steps")
