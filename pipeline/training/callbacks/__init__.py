"""What happens beside the steps of a training: schedules, history, previews, TensorBoard."""
