"""Makes the embedded checkpoint from nothing but a seed: `python -m training --help`.

Pictures are drawn on the fly by one file per task (`text`, `shapes`, `cover`, `compare`), each a
pure function of a random generator seeded with (seed, index). `network` holds the layers under the
published key names, `stages` the training loop, `export` writes the files the app loads, and
`evaluate` measures those files through the app's own processor and `generate`.

Fonts are needed at training time only; `requirements-training.txt` names the packages.
"""
