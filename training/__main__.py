"""Command line of training: train, export, evaluate, curve, preview."""

import argparse
from pathlib import Path

from training.card import format_table, write_card
from training.evaluate import evaluate
from training.export import ASSETS, export
from training.journal import draw_curve
from training.preview import preview
from training.settings import CONFIG, load_config
from training.stages import Training

RUN_HELP = "folder of the training state and log"


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train from the seed, or resume; then export")
    train.add_argument("--workers", type=int, default=1, help="processes that draw pictures")
    train.add_argument("--eager", action="store_true", help="do not compile layers on a CPU")
    train.add_argument("--weights", type=Path, help="folder of a checkpoint to begin from")
    exported = commands.add_parser("export", help="export the saved training state")
    for command in (train, exported):
        command.add_argument("--config", type=Path, default=CONFIG)
        command.add_argument("--run", type=Path, default=Path("runs/embedded"), help=RUN_HELP)
        command.add_argument("--device", default="cpu", help="cpu or cuda")
        command.add_argument("--to", type=Path, default=ASSETS, help="folder of the checkpoint")
    measure = commands.add_parser("evaluate", help="measure a checkpoint and write its model card")
    measure.add_argument("--folder", type=Path, default=ASSETS)
    measure.add_argument("--samples", type=int, default=100, help="samples per task")
    measure.add_argument("--tasks", nargs="+", help="only these; no card is written")
    measure.add_argument("--show", type=int, default=0, help="answers to print per task")
    curve = commands.add_parser("curve", help="plot the log of a training run")
    curve.add_argument("--run", type=Path, default=Path("runs/embedded"), help=RUN_HELP)
    curve.add_argument("--to", type=Path, default=ASSETS / "curve.png")
    sheet = commands.add_parser("preview", help="draw a sheet of samples")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--tasks", nargs="+", default=["ocr", "shapes", "cover", "compare"])
    sheet.add_argument("--rows", type=int, default=3)
    sheet.add_argument("--to", type=Path, default=Path("runs/preview.png"))
    return parser.parse_args()


def main() -> None:
    """Run the subcommand."""
    arguments = parse_arguments()
    if arguments.command in ("train", "export"):
        config = load_config(arguments.config)
        trains = arguments.command == "train"
        compiled = trains and arguments.device == "cpu" and not arguments.eager
        weights = arguments.weights if trains else None
        training = Training(config, arguments.run, arguments.device, compiled, weights)
        if trains:
            training.run(arguments.workers)
        export(training, arguments.to)
    elif arguments.command == "evaluate":
        scores, first = evaluate(
            arguments.folder, arguments.samples, arguments.show, arguments.tasks
        )
        print(format_table(scores))
        if not arguments.tasks:
            write_card(arguments.folder, scores, first)
    elif arguments.command == "curve":
        draw_curve(arguments.run / "log.csv", arguments.to)
    else:
        preview(arguments.seed, dict.fromkeys(arguments.tasks, 1.0), arguments.rows, arguments.to)


if __name__ == "__main__":
    main()
