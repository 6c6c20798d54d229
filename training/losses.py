"""Training losses: naming the cells of frames, locating them, attending to them, answering.

B batch, N pictures, C cells, S slots of a cell, W names, D text width.
"""

import torch
from torch import Tensor, nn

from training.batches import Batch, Frames, Turns
from training.drills import Sentences
from training.layouts import CELL, NAME_IDS, SLOTS
from training.network import RARE, Network
from training.prompts import IMAGE_SLOT
from training.tokenizer import IGNORED
from training.tower import CELLS, GRID, PATCH, normalize


class Trainee(nn.Module):
    """The model, with heads for training only: of a cell's slots, position and colour."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network
        width = network.sizes.text_width
        self.slots = nn.Linear(width, SLOTS * width)
        self.places = nn.Linear(width, 2 * CELLS + 3)  # row, column, mean colour
        self.register_buffer("name_ids", torch.tensor(NAME_IDS), persistent=False)

    def encode(self, frames: Frames) -> Tensor:
        """Return merged features of the frames' cells: (N, rows, columns, 4V)."""
        return self.network.images.encode_cells(frames.pixels, frames.places)

    def name_cells(self, cells: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cell-naming loss, per name that is to be found, and the F1 score over slots.

        Logits are products of each image token with the embedding rows of the names, as if the
        token were the decoder's output: so image tokens resemble the characters that they show.

        Args:
            cells: (N, C, D) projected cells.
            names: (N, C, S, W) uint8.
        """
        rows = self.network.model.embed_tokens.weight[self.name_ids]  # (W, D)
        whole = nn.functional.linear(cells, rows) + RARE  # (N, C, W)
        split = self.slots(cells).unflatten(-1, (SLOTS, -1))  # (N, C, S, D)
        split = nn.functional.linear(split, rows) + RARE  # (N, C, S, W)
        wanted = names.to(torch.float32)
        wanted_whole = wanted.amax(2)
        score = nn.functional.binary_cross_entropy_with_logits
        loss = score(whole.float(), wanted_whole, reduction="sum") / wanted_whole.sum().clamp(1)
        loss = loss + score(split.float(), wanted, reduction="sum") / wanted.sum().clamp(1)
        with torch.no_grad():
            found = split > 0
            hits = (found & names.bool()).sum()
            f1 = 2 * hits / (found.sum() + names.sum()).clamp(1)
        return loss, f1

    def place_cells(self, cells: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        """Return the loss of cells' rows, columns and mean colours, and the accuracy of positions.

        The naming loss alone removes from the image tokens a cell's position in its frame, and its
        colour if it is empty: without this loss the decoder hardly learns to state either.

        Args:
            cells: (N, C, D) projected cells.
            frames: those that the cells are from.
        """
        predicted = self.places(cells).float()
        count, height, width, _ = frames.pixels.shape
        first = frames.places.view(count, height // PATCH, width // PATCH)[:, ::2, ::2].flatten(1)
        rows, columns = first // GRID // 2, first % GRID // 2
        row_logits, column_logits, colours = predicted.split((CELLS, CELLS, 3), -1)
        pixels = normalize(frames.pixels).view(count, height // CELL, CELL, width // CELL, CELL, 3)
        wanted = pixels.mean((2, 4)).flatten(1, 2)  # (N, C, 3)
        score = nn.functional.cross_entropy
        loss = score(row_logits.mT, rows) + score(column_logits.mT, columns)
        loss = loss + nn.functional.mse_loss(colours, wanted)
        with torch.no_grad():
            right = (row_logits.argmax(-1) == rows) & (column_logits.argmax(-1) == columns)
        return loss, right.float().mean()

    def read_pages(self, frames: Frames, placing: float = 0.0) -> dict[str, Tensor]:
        """Return losses of the vision tower alone; `placing` is the position loss's weight."""
        cells = self.network.images.img_projection(self.encode(frames).flatten(1, 2))
        loss, f1 = self.name_cells(cells, frames.names)
        misplaced, placed = self.place_cells(cells, frames)
        return {"loss": loss + placing * misplaced, "f1": f1, "placed": placed}

    def judge(self, sentences: Sentences) -> dict[str, Tensor]:
        """Return loss and accuracy of the labelled tokens of text-only sentences."""
        network = self.network
        hidden, _ = network.decode(network.model.embed_tokens(sentences.token_ids))
        answered = sentences.labels != IGNORED
        logits = nn.functional.linear(hidden[answered], network.model.embed_tokens.weight).float()
        labels = sentences.labels[answered]
        return {
            "loss": nn.functional.cross_entropy(logits, labels),
            "right": (logits.argmax(-1) == labels).float().mean().detach(),
        }

    def see(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return image tokens of a batch's pictures, and the projected cells of its frames.

        Returns:
            (pictures, T, D) and (N, C, D)
        """
        cells = self.encode(batch.frames)
        layout = batch.layout
        return self.network.images.project_pictures(cells, layout.columns, layout.sub_frames)

    def answer(self, turns: Turns, tokens: Tensor, pointing: float = 0.0) -> dict[str, Tensor]:
        """Return the losses, and the share of the answers' tokens that are right.

        Args:
            turns: questions and answers.
            tokens: (slots, D) image tokens, one for each IMAGE_SLOT, row by row.
            pointing: weight of the attention loss.
        """
        network = self.network
        slots = turns.token_ids == IMAGE_SLOT
        embeds = network.model.embed_tokens(turns.token_ids.clamp(min=0))
        embeds = embeds.masked_scatter(slots[:, :, None], tokens.to(embeds.dtype))
        hidden, attention = network.decode(embeds, turns.start)
        labels = turns.labels[:, turns.start :]
        answered = labels != IGNORED
        logits = nn.functional.linear(hidden[answered], network.model.embed_tokens.weight).float()
        labels = labels[answered]
        weights = turns.weights[:, turns.start :][answered]
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        with torch.no_grad():
            right = (logits.argmax(-1) == labels).float().mean()
        targets = (turns.follow(), turns, turns)
        judged = [judge_looks(*pair) for pair in zip(attention, targets, strict=True)]
        attention_loss = torch.stack([loss for loss, _ in judged]).mean()
        return {
            "loss": loss + pointing * attention_loss,
            "answer": loss.detach(),
            "right": right,
            "followed": judged[0][1],
            "pointed": judged[-1][1],
        }


def judge_looks(looks: Tensor, turns: Turns) -> tuple[Tensor, Tensor]:
    """Return the loss of attention that misses its targets, and the mean share that hits them.

    Args:
        looks: (B, T - start, T) log attention weights.
        turns: whose pointers are the targets; several image slots may show the same token.
    """
    rows, positions, slots = turns.pointers.unbind(1)
    asked = rows * looks.shape[1] + positions - turns.start
    _, which = asked.unique(return_inverse=True)
    shares = looks[rows, positions - turns.start, slots].exp()
    count = int(which.max()) + 1 if len(which) else 0
    shares = shares.new_zeros(count).index_add(0, which, shares)
    if not count:
        return looks.sum() * 0, looks.new_zeros(())
    weights = shares.new_zeros(count).index_put((which,), turns.weights[rows, positions])
    loss = -(shares.clamp(min=1e-6).log() * weights).sum() / weights.sum()
    return loss, shares.detach().mean()
