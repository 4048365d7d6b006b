"""The promised names, by module."""

# The public contract. Names that are added here are promises to users.
PROMISED = {
    "tfisovae":
        "Analysis Autoencoder BetaEstimate Codec Objective Totals VAE analyze as_autoencoder "
        "callbacks codec density distortions estimate_beta geometry load measure_totals metrics "
        "networks objective prune probe sources standardize_latents theory verdict",
    "tfisovae.distortions":
        "BinaryCrossentropy Distortion DownwardConvex GaussianNLL MeanSquaredError SSIM "
        "SumSquaredError UpwardConvex get",
    "tfisovae.geometry": "isometry_gram numerical_derivatives pullback_metric",
    "tfisovae.density": "log_densities",
    "tfisovae.verdict": "Verdict",
    "tfisovae.callbacks": "IsometryMonitor LambdaSchedule",
    "tfisovae.metrics":
        "ActiveDimensions CodingLoss GramOffDiagonal IsometricNorm PosteriorBalance "
        "PosteriorPrecision Rate TransformLoss",
    "tfisovae.codec": "Codec",
    "tfisovae.networks": "celeba celeba_large mnist toy",
    "tfisovae.sources": "faces toy",
    "tfisovae.theory": "LinearVAE reverse_water_filling",
}
