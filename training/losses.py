"""What the network is trained for: naming the cells of its frames, placing them, and answering.

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
    """The network, and heads for training only: of a cell's slots, its place and colour."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network
        width = network.sizes.text_width
        self.slots = nn.Linear(width, SLOTS * width)
        self.places = nn.Linear(width, 2 * CELLS + 3)  # row, column, mean colour
        self.register_buffer("name_ids", torch.tensor(NAME_IDS), persistent=False)

    def encode(self, frames: Frames) -> Tensor:
        """Merged cells of the frames: (N, rows, columns, 4V)."""
        return self.network.images.encode_cells(frames.pixels, frames.places)

    def name_cells(self, cells: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
        """The cell-naming loss, per thing to be named, and the F1 score over slots.

        Every image token times the embedding rows of the names gives the logits, as if the token
        were the decoder's output: so to the decoder it looks like the characters it shows.

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
        """The loss of telling cells' rows, columns and mean colours, and how many places are right.

        Naming alone drives out of the image tokens where in its frame a cell is, and what colour
        it has where nothing stands: without this loss the decoder hardly learns to say either.

        Args:
            cells: (N, C, D) projected cells.
            frames: what they show.
        """
        told = self.places(cells).float()
        count, height, width, _ = frames.pixels.shape
        first = frames.places.view(count, height // PATCH, width // PATCH)[:, ::2, ::2].flatten(1)
        rows, columns = first // GRID // 2, first % GRID // 2
        row_logits, column_logits, colours = told.split((CELLS, CELLS, 3), -1)
        pixels = normalize(frames.pixels).view(count, height // CELL, CELL, width // CELL, CELL, 3)
        wanted = pixels.mean((2, 4)).flatten(1, 2)  # (N, C, 3)
        score = nn.functional.cross_entropy
        loss = score(row_logits.mT, rows) + score(column_logits.mT, columns)
        loss = loss + nn.functional.mse_loss(colours, wanted)
        with torch.no_grad():
            right = (row_logits.argmax(-1) == rows) & (column_logits.argmax(-1) == columns)
        return loss, right.float().mean()

    def read_pages(self, frames: Frames, placing: float = 0.0) -> dict[str, Tensor]:
        """Losses of the tower alone, on windows; `placing` weighs that of their cells' places."""
        cells = self.network.images.img_projection(self.encode(frames).flatten(1, 2))
        loss, f1 = self.name_cells(cells, frames.names)
        misplaced, placed = self.place_cells(cells, frames)
        return {"loss": loss + placing * misplaced, "f1": f1, "placed": placed}

    def judge(self, sentences: Sentences) -> dict[str, Tensor]:
        """Losses of what follows from the words alone."""
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
        """Image tokens of a batch's pictures, and the projected cells of its frames.

        Returns:
            (pictures, T, D) and (N, C, D)
        """
        cells = self.encode(batch.frames)
        layout = batch.layout
        return self.network.images.project_pictures(cells, layout.columns, layout.sub_frames)

    def answer(self, turns: Turns, tokens: Tensor, pointing: float = 0.0) -> dict[str, Tensor]:
        """The loss of answering, and the share of the answers' tokens that are right.

        Args:
            turns: questions and answers.
            tokens: (slots, D) image tokens, one for each IMAGE_SLOT, row by row.
            pointing: what the loss of looking elsewhere counts.
        """
        network = self.network
        slots = turns.token_ids == IMAGE_SLOT
        embeds = network.model.embed_tokens(turns.token_ids.clamp(min=0))
        embeds = embeds.masked_scatter(slots[:, :, None], tokens.to(embeds.dtype))
        hidden, looks = network.decode(embeds, turns.start)
        labels = turns.labels[:, turns.start :]
        answered = labels != IGNORED
        logits = nn.functional.linear(hidden[answered], network.model.embed_tokens.weight).float()
        labels = labels[answered]
        weights = turns.weights[:, turns.start :][answered]
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        with torch.no_grad():
            right = (logits.argmax(-1) == labels).float().mean()
        aims = (turns.follow(), turns, turns)
        judged = [judge_looks(look, aim) for look, aim in zip(looks, aims, strict=True)]
        astray = torch.stack([loss for loss, _ in judged]).mean()
        return {
            "loss": loss + pointing * astray,
            "answer": loss.detach(),
            "right": right,
            "followed": judged[0][1],
            "pointed": judged[-1][1],
        }


def judge_looks(looks: Tensor, turns: Turns) -> tuple[Tensor, Tensor]:
    """The loss of looking elsewhere than at what is to be said, and the share of looks at it.

    Args:
        looks: (B, T - start, T) logarithms of attention.
        turns: whose pointers say what is to be looked at; several slots may show the same.
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
