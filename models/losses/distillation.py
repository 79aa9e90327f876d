"""The loss of learning from another network's probabilities (Hinton et al. 2015, arXiv:1503.02531)."""

from keras import ops

from models.losses.losses import SampleLoss


def build_distillation(temperature: float) -> SampleLoss:
    """Returns the loss T² BCE(sigmoid(z / T), sigmoid(s / T)), the mean over all pixels and classes.

    With T² the gradient of confident pixels is as large as without a temperature (section 2 of the paper).

    Args:
      temperature: T, above 0.

    Returns:
      A loss of the logits z of the teacher and s of the student, both `[B, h, w, C]`.

    Example:
      >>> logits = np.zeros((1, 4, 4, 1), "float32")
      >>> round(float(build_distillation(2.0)(logits, logits)), 4)  # 4 log 2
      2.7726
    """

    def function(teacher, student):
        probabilities, student = ops.sigmoid(teacher / temperature), student / temperature
        entropy = ops.softplus(student) - probabilities * student
        return temperature**2 * ops.mean(entropy, axis=(1, 2, 3))

    return SampleLoss(function, "distillation")
