"""What the command lines do. A command is a module with `add_arguments(parser)`, `run(args)` and
`EXAMPLES`, two command lines. Its docstring is its help.

Modules import TensorFlow, and what needs it, when the work begins: `--help` and a wrong option
answer at once.
"""

SUMMARIES = {
    "celeba": "train the paper's convolutional VAE on images (App. D.2, F.2)",
    "mnist": "train the paper's VAE on MNIST (App. G)",
    "toy": "train the paper's small VAE on toy data, or on your own table (App. D.1)",
    "ablation": "train every toy data set with every loss at every lmbda (App. E.2)",
    "audit": "measure any VAE: Keras models, SavedModels; what may be wrong, what not to conclude",
    "isometry": "measure the isometry of a trained run (Figs. 4, 5, Tables 1, 2)",
    "density": "give log densities of inputs (Figs. 3, 8)",
    "variables": "draw the isometric variable of each latent variable (Fig. 1)",
    "traverse": "draw what each latent dimension does (Figs. 6, 23)",
    "prune": "make a smaller VAE of a run, of the latent dimensions that matter",
    "report": "write all that is known of a run as one page for a browser",
    "compare": "measure several runs, and show them side by side on one page",
    "compress": "compress data with a trained run into one file",
    "decompress": "decompress such a file to images, or to a table",
    "rate": "measure what files of a run's codec cost and lose, beside theory, JPEG, WebP, "
            "principal components",
    "all": "measure and draw all that a run has",
    "measure_ablation": "measure the cells of an ablation",
}
