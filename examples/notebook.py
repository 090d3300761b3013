"""mml in a notebook: run, look at the tables, predict an image (open it as a notebook with Jupytext)."""

# %%
import mml_core.api as mml

# %% [markdown]
# Create a task of real images, see what a training would do, and do it. Keywords are overrides of the config.

# %%
mml.run("create", ["digits"], proj="notebook")
TRAINING = {
    "proj": "notebook",
    "arch": "resnet_tiny",
    "preprocessing": "none",
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    "mode": {"folds": [0, 1]},
}
print(mml.plan("train", ["digits"], **TRAINING)[["step", "waits_for", "state"]])

# %%
mml.run("train", ["digits"], **TRAINING)

# %% [markdown]
# A run that was killed or failed goes on where it was; a finished one gives its value again.

# %%
print(mml.continue_run("notebook").value)

# %% [markdown]
# What the project holds, as pandas DataFrames.

# %%
project = mml.open_project("notebook")
print(project.runs()[["run", "mode", "status", "seconds"]])
print(project.models()[["model", "task", "fold", "val/accuracy"]])
scores = project.metrics()
test = scores[(scores["split"] == "test") & scores["class_name"].isna()]
print(test.groupby("metric")["value"].agg(["mean", "std"]))

# %%
predictions = project.predictions("digits", split="test")
confused = predictions[predictions["target"] != predictions["prediction"]]
print(confused.groupby(["target", "prediction"]).size().sort_values(ascending=False).head())

# %% [markdown]
# Predict an image, of a file or in memory, by the mean of both folds' models.

# %%
from sklearn.datasets import load_digits  # noqa: E402  (a cell imports what it needs)

model = project.load_model("digits")
prediction = model.predict((load_digits().images[3] * 15.9375).astype("uint8"))
print(prediction.label, f"{prediction.probabilities[prediction.label]:.2f}")
