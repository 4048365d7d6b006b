"""The command lines. A command is a module with `add_arguments(parser)`, `run(args)` and
`EXAMPLES`, two command lines. Its docstring is its help.

Modules import TensorFlow only when the work begins, so `--help` and wrong options answer at once.
"""

SUMMARIES = {
    "celeba": "train the paper's convolutional VAE on images (App. D.2, F.2)",
    "mnist": "train the paper's VAE on MNIST (App. G)",
    "toy": "train the paper's small VAE on toy data, or on your own table (App. D.1)",
    "ablation": "train every toy data set with every loss at every lmbda (App. E.2)",
    "audit": "measure any VAE (Keras models, SavedModels) and find faults",
    "isometry": "measure the isometry of a trained run (Figs. 4, 5, Tables 1, 2)",
    "density": "give log densities of inputs (Figs. 3, 8)",
    "variables": "draw the isometric variable of each latent variable (Fig. 1)",
    "traverse": "draw what each latent dimension does (Figs. 6, 23)",
    "prune": "make a smaller VAE from the important latent dimensions of a run",
    "report": "write all results of a run as one page for a browser",
    "compare": "measure several runs and show them side by side on one page",
    "compress": "compress data with a trained run into one file",
    "decompress": "decompress such a file to images or to a table",
    "rate": "measure the rate and distortion of a run's codec, next to theory, JPEG, WebP and PCA",
    "all": "measure and draw everything of a run",
    "measure_ablation": "measure the cells of an ablation",
}
