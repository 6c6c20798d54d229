"""The command line: train, export, evaluate, curve, preview."""

import argparse
from pathlib import Path

from training.card import format_table, write_card
from training.evaluate import evaluate
from training.export import ASSETS, export
from training.journal import draw_curve
from training.preview import preview
from training.settings import CONFIG, load_config
from training.stages import Training


def parse_arguments() -> argparse.Namespace:
    """Flags of the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train from the seed, or go on; then export")
    train.add_argument("--workers", type=int, default=1, help="processes that draw")
    train.add_argument("--eager", action="store_true", help="compile nothing on a CPU")
    exported = commands.add_parser("export", help="write the state reached so far")
    for command in (train, exported):
        command.add_argument("--config", type=Path, default=CONFIG)
        command.add_argument("--run", type=Path, default=Path("runs/embedded"), help="state, log")
        command.add_argument("--device", default="cpu", help="cpu or cuda")
        command.add_argument("--to", type=Path, default=ASSETS, help="folder of the checkpoint")
    measure = commands.add_parser("evaluate", help="measure a checkpoint and write its card")
    measure.add_argument("--folder", type=Path, default=ASSETS)
    measure.add_argument("--samples", type=int, default=100, help="of each task")
    measure.add_argument("--tasks", nargs="+", help="only these, and leave the card alone")
    measure.add_argument("--show", type=int, default=0, help="print so many answers of each task")
    curve = commands.add_parser("curve", help="plot the log of a run")
    curve.add_argument("--run", type=Path, default=Path("runs/embedded"), help="state, log")
    curve.add_argument("--to", type=Path, default=ASSETS / "curve.png")
    sheet = commands.add_parser("preview", help="draw a sheet of samples")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument("--tasks", nargs="+", default=["ocr", "shapes", "cover", "compare"])
    sheet.add_argument("--rows", type=int, default=3)
    sheet.add_argument("--to", type=Path, default=Path("runs/preview.png"))
    return parser.parse_args()


def main() -> None:
    """Run a subcommand."""
    arguments = parse_arguments()
    if arguments.command in ("train", "export"):
        config = load_config(arguments.config)
        trains = arguments.command == "train"
        compiled = trains and arguments.device == "cpu" and not arguments.eager
        training = Training(config, arguments.run, arguments.device, compiled)
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
