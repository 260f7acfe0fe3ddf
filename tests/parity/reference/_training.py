"""Ten steps of AdamW on given batches, which tests/parity/training_parity.h repeats."""
import json

import torch
from safetensors.torch import save_file

STEPS = 10
# A weight whose gradient is rounding alone, as a bias before a softmax or a norm, would take whole steps in the
# direction of noise with a smaller epsilon.
OPTIONS = {
    "learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-5,
    "adam_weight_decay": 0.1,
    "max_grad_norm": 0.0,
}


def train(folder, model, batch_of, loss_of, prefix="", **changes):
    """Writes training.json and training.safetensors. `batch_of` draws the tensors of a step, of which `loss_of` is the loss;
    `prefix` goes before the names of the weights."""
    options = OPTIONS | changes
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in parameters.items()}
    optimizer = torch.optim.AdamW(
        parameters.values(), options["learning_rate"], (options["adam_beta1"], options["adam_beta2"]),
        options["adam_epsilon"], options["adam_weight_decay"])
    batches, losses = [batch_of() for _ in range(STEPS)], []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        if options["max_grad_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(parameters.values(), options["max_grad_norm"])
        optimizer.step()
        losses.append(loss.detach())
    unmoved = [name for name, value in parameters.items() if torch.equal(value, before[name])]
    assert not unmoved, unmoved
    tensors = {f"batch.{key}": torch.stack([batch[key] for batch in batches]) for key in batches[0]}
    tensors |= {f"trained.{prefix}{name}": value.detach().contiguous() for name, value in parameters.items()}
    save_file(tensors | {"losses": torch.stack(losses)}, folder / "training.safetensors")
    (folder / "training.json").write_text(json.dumps(options, indent=2) + "\n")
