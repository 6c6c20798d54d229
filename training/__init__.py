"""Trains the embedded checkpoint from a seed, without data files: `python -m training --help`.

Pictures are drawn on the fly by one module per task (see `tasks`), each a pure function of a random
generator seeded with (seed, index). `network` defines the layers under the published key names,
`stages` the training loop, `export` writes the files that the app loads, and `evaluate` measures
those files through the app's own processor and `generate`.

Fonts are needed for training only; `requirements-training.txt` lists the packages.
"""
