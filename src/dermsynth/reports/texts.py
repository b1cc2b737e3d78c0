"""What the report explains in words: arms, outcomes and classes. For readers who know skin, not software."""

from __future__ import annotations

ARMS = {
    "real": "The training images as they are.",
    "classical": "Real images brought to the same class counts, each time altered at random (turned, cropped,"
    " slightly recoloured): what one does without a generator.",
    "oversampled": "The real images, with images of rare classes repeated until each class has its target count.",
    "weighted": "The real images, each counting the more in training the rarer its class is.",
    "focal": "The real images, trained on with the focal loss: those that are already told right hardly count.",
    "logit-adjusted": "The real images, trained on with scores that are raised by how common their class is, so that"
    " rare classes have to be learnt better.",
    "hybrid": "The real images, with synthetic images of rare classes added up to the same target counts.",
    "placebo": "The hybrid's images with the labels of the synthetic ones shuffled: as many new pictures, but no"
    " knowledge of the classes in them.",
    "oracle": "The real images, with new real images added up to the same target counts: the upper bound of what any"
    " synthesis could give. Only drawn lesions (the phantom) can offer it.",
}

ADDED = {
    "classical": "repeats of real images, each altered at random",
    "oversampled": "repeats of real images",
    "hybrid": "synthetic images",
    "placebo": "synthetic images with shuffled labels",
    "oracle": "new real images",
}

OUTCOMES = {
    "helps": ("▲", "The interval lies above 0, and not wholly within the margin: there is a gain."),
    "harms": ("▼", "The interval lies below 0, and not wholly within the margin: there is a loss."),
    "equivalent": (
        "=",
        "The interval lies within the margin: whatever difference there is, it is too small to matter.",
    ),
    "inconclusive": (
        "?",
        "The interval holds 0 and reaches beyond the margin: the trial was too small to tell. This is not evidence that"
        " nothing happens.",
    ),
}

CLASSES = {
    "akiec": "actinic keratosis and Bowen’s disease",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis (solar lentigo, seborrhoeic or lichen-planus-like keratosis)",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic naevus",
    "vasc": "vascular lesion",
}

METRICS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "macro_auc": "macro-AUC"}

EXPLAINED_BY = {
    "real": "Filling up the rare classes with anything at all",
    "oversampled": "Balancing the classes alone, by repeats of real images",
    "weighted": "A weight in the loss",
    "focal": "A loss that attends to hard images",
    "logit-adjusted": "A loss aimed at balanced accuracy",
    "classical": "Altering real images at random, without any generator",
    "placebo": "More varied pictures, whatever they show of their class",
    "hybrid": "Other synthetic images",
}
"""What could explain a gain of the treatment, by the recipe that has that and no more."""

BEATEN = {
    "helps": "Ruled out as the whole of it",
    "harms": "Not ruled out: that arm is better",
    "equivalent": "Not ruled out: no difference that matters",
    "inconclusive": "Not ruled out: cannot be told apart",
}
"""What the outcome of treatment minus an arm says of that arm's explanation."""
